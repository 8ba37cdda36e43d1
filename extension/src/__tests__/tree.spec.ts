import type { SwarmInfo } from '../api';
import { moveIn, treeOf } from '../panel/tree';
import { aNode, aSwarm, aTraining } from './fakes';

const NONE = new Set<never>();

function swarmOf(count: number, fields: Partial<SwarmInfo> = {}): SwarmInfo {
  const load = { cpu: 50, memory: 1, gpu: null, gpu_memory: null };
  const learning = Array.from({ length: count }, (_, index) =>
    aNode({ name: `sl-${index + 1}`, state: 'training', phase: 'TRAINING', load })
  );
  const license = aNode({ name: 'license', kind: 'license' });
  return aSwarm({ nodes: [license, aNode({ name: 'sentinel', kind: 'sentinel' }), ...learning], ...fields });
}

const keys = (swarm: SwarmInfo, filter = '') => treeOf(swarm, NONE, filter).rows.map(row => row.key);

describe('treeOf', () => {
  it('groups nodes, with their load where there are few', () => {
    const { rows, marks } = treeOf(swarmOf(2), NONE);
    expect(rows.map(row => row.key)).toEqual(['services', 'license', 'network', 'sentinel', 'learning', 'sl-1', 'sl-2']);
    expect(rows.flatMap(row => (row.kind === 'node' && row.loaded ? [row.key] : []))).toEqual(['sl-1', 'sl-2']);
    expect(marks).toBeNull();
  });

  it('has one line a node from nine on', () => {
    const { rows } = treeOf(swarmOf(9), NONE);
    expect(rows.some(row => row.kind === 'node' && row.loaded)).toBe(false);
  });

  it('has a mark a node from forty-one on, and rows only for what needs a look', () => {
    const lost = { 'sl-37': { reason: 'out of memory' } };
    const swarm = swarmOf(100, { trainings: [aTraining({ lost })] });
    const { rows, marks } = treeOf(swarm, NONE);
    expect(marks).toHaveLength(100);
    expect(rows.slice(4).map(row => row.key)).toEqual(['learning', 'look', 'look sl-37', 'all']);
    expect(rows[4]).toMatchObject({ up: 99, exceptions: [{ count: 1, look: { word: 'Lost' } }] });
  });

  it('keeps a lost node in its place and says why', () => {
    const swarm = swarmOf(3, { trainings: [aTraining({ lost: { 'sl-2': { reason: 'connection lost' } } })] });
    const row = treeOf(swarm, NONE).rows[6];
    expect(row).toMatchObject({ key: 'sl-2', why: 'connection lost', look: { word: 'Lost' }, loaded: false });
  });

  it('filters by name, host and state, whatever is closed', () => {
    expect(keys(swarmOf(50), 'sl-49')).toEqual(['learning', 'sl-49']);
    expect(keys(swarmOf(2), 'ready')).toEqual(['services', 'license', 'network', 'sentinel']);
  });
});

describe('moveIn', () => {
  const { rows } = treeOf(swarmOf(2), NONE);

  it.each([
    [0, 'ArrowDown', { to: 1 }],
    [0, 'ArrowUp', { to: 0 }],
    [1, 'End', { to: 6 }],
    [0, 'ArrowRight', { to: 1 }],
    [0, 'ArrowLeft', { toggle: 'services' }],
    [6, 'ArrowLeft', { to: 4 }],
    [6, 'ArrowRight', null],
    [6, 'x', null]
  ])('from row %s by %s', (at, key, expected) => expect(moveIn(rows, at, key)).toEqual(expected));

  it('opens a closed group', () => {
    const closed = treeOf(swarmOf(2), new Set(['learning' as const])).rows;
    expect(closed.map(row => row.key)).not.toContain('sl-1');
    expect(moveIn(closed, 4, 'ArrowRight')).toEqual({ toggle: 'learning' });
  });
});
