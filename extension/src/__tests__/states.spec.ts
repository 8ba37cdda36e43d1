import type { NodeInfo, TrainingInfo } from '../api';
import { bytes, decimal, duration } from '../format';
import { lineStyle, nodeLook } from '../states';

const node = (fields: Partial<NodeInfo>): NodeInfo =>
  ({ name: 'sl-1', kind: 'sl', state: 'ready', message: '', phase: null, ...fields }) as NodeInfo;

describe('nodeLook', () => {
  it('says the phase of a node that trains', () => {
    expect(nodeLook(node({ state: 'training', phase: 'EXCHANGING' }), null).word).toBe('Exchanging');
  });

  it('calls a node lost that its peers do not hear', () => {
    const training = { lost: { 'sl-1': {} } } as unknown as TrainingInfo;
    expect(nodeLook(node({ state: 'training', phase: 'TRAINING' }), training).word).toBe('Lost');
  });

  it('tells a first start from another one', () => {
    expect(nodeLook(node({ state: 'starting' }), null).word).toBe('Starting');
    const again = node({ state: 'starting', message: 'is started again: exited' });
    expect(nodeLook(again, null).word).toBe('Restarting');
  });
});

it('gives twelve nodes twelve lines', () => {
  const lines = Array.from({ length: 12 }, (_, index) => JSON.stringify(lineStyle(index)));
  expect(new Set(lines).size).toBe(12);
});

it.each([
  [decimal(0.31249), '0.312'],
  [decimal(null), '–'],
  [decimal(0.0000123), '1.2e-5'],
  [duration(17.44), '17 s'],
  [duration(7.44), '7.4 s'],
  [duration(360), '6 min'],
  [duration(3650 * 86400), '10 y'],
  [bytes(3.1 * 1024 ** 3), '3.1G'],
  [bytes(512), '512B']
])('%s reads as %s', (shown, expected) => expect(shown).toBe(expected));
