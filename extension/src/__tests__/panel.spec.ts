import type { Measure, Operation } from '../api';
import { newsOf } from '../news';
import { type Lines, lines } from '../panel/curve';
import { newTraining } from '../training';
import { Curves } from '../views/curves';
import { newestFailure } from '../panel/failures';
import { aNode, aSwarm, aTraining } from './fakes';

describe('newsOf', () => {
  const before = aSwarm({ trainings: [aTraining({ round: 15 })] });
  const after = (fields: object) => aSwarm({ trainings: [aTraining({ round: 15, ...fields })] });

  it('tells a committed round, a lost node, its return and the end', () => {
    expect(newsOf(before, after({ round: 16 }))).toMatchObject([{ kind: 'round', round: 16 }]);
    const lost = after({ lost: { 'sl-2': { reason: 'connection lost' } } });
    expect(newsOf(before, lost)).toMatchObject([{ kind: 'lost', node: 'sl-2', reason: 'connection lost', others: 1 }]);
    expect(newsOf(lost, before)).toMatchObject([{ kind: 'back', node: 'sl-2' }]);
    expect(newsOf(before, after({ state: 'finished' }))).toMatchObject([{ kind: 'ended', state: 'finished' }]);
  });

  it('says nothing of what was there when the page was opened', () => {
    expect(newsOf(null, after({ lost: { 'sl-2': {} } }))).toEqual([]);
  });

  it('tells a node that failed once', () => {
    const failed = aSwarm({ nodes: [aNode({ state: 'failed', message: 'port taken' })] });
    expect(newsOf(aSwarm(), failed)).toMatchObject([{ kind: 'failed', node: 'sl-1', reason: 'port taken' }]);
    expect(newsOf(failed, failed)).toEqual([]);
  });
});

describe('newestFailure', () => {
  const operation = (id: string, state: string, started: number): Operation =>
    ({
      id,
      verb: 'up',
      swarm: 'demo',
      state,
      started,
      error: state === 'failed' ? { code: 'SWL-107', message: 'port taken', next: 'free it' } : null
    }) as Operation;

  it('is shown until it is put away or the same goes well', () => {
    const failed = operation('a', 'failed', 1);
    expect(newestFailure([failed], 'demo', new Set())?.failure.code).toBe('SWL-107');
    expect(newestFailure([failed], 'demo', new Set(['a']))).toBeNull();
    expect(newestFailure([failed, operation('b', 'running', 2)], 'demo', new Set())).toBeNull();
    expect(newestFailure([failed], 'other', new Set())).toBeNull();
  });
});

describe('curves', () => {
  const measures = (nodes: number, rounds: number): Measure[] =>
    Array.from({ length: rounds }, (_, round) =>
      Array.from({ length: nodes }, (_, node) => ({
        round: round + 1,
        node: `sl-${node + 1}`,
        loss: 1 / (round + 1) + node / 100,
        metric: null,
        local_loss: null,
        local_metric: null
      }))
    ).flat();
  const drawn = (nodes: number, rounds: number, width = 296): Lines | null => {
    const columns = new Curves('loss').update({ ...newTraining('t-1'), measures: measures(nodes, rounds) });
    return lines(columns, width, 56);
  };

  it('needs two rounds', () => expect(drawn(2, 1)).toBeNull());

  it('draws a line a node, and a band where those cannot be told apart', () => {
    expect(drawn(4, 5)).toMatchObject({ band: '', rounds: 5 });
    const many = drawn(13, 5)!;
    expect(many.lines).toEqual([]);
    expect(many.band.split(' ')).toHaveLength(10);
  });

  it('draws no more points than there are pixels, with the first and the last round', () => {
    const shown = drawn(2, 5000, 100)!;
    const points = shown.merged.split(' ');
    expect(points).toHaveLength(50);
    expect(points[0].startsWith('0.0,')).toBe(true);
    expect(points[49].startsWith('100.0,')).toBe(true);
  });
});
