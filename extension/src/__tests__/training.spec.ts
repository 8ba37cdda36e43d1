import { fold } from '../training';
import { facts } from './stories';

describe('fold', () => {
  it('passes over facts that it holds, and then gives the same object', () => {
    const told = facts(2, 3);
    const detail = fold(null, told);
    expect(fold(detail, told)).toBe(detail);
    expect(detail.rounds).toHaveLength(3);
    const other = { v: 1 as const, seq: detail.seq + 1, time: 0, event: 'round', training: 't-2', round: 9 };
    expect(fold(detail, [other])).toBe(detail);
    expect(detail.seq).toBe(other.seq);
  });

  it('puts a judgement with the round whose model it is of', () => {
    const detail = fold(null, facts(2, 3));
    expect(detail.measures.filter(one => one.node === 'sl-2').map(one => one.loss)).toEqual([1, 2 / 3, null]);
    expect(detail.measures[1]).toMatchObject({ round: 1, node: 'sl-2', local_loss: 2.1 });
  });

  it('keeps times that were told before the commit', () => {
    const told = facts(2, 1);
    const round = told.findIndex(one => one.event === 'round');
    const [committed] = told.splice(round, 1);
    const early = fold(null, told);
    expect(early.told[1].times['sl-1'].training).toBe(1);
    const late = fold(early, [{ ...committed, seq: 99 }]);
    expect(late.rounds[0]).toMatchObject({ coordinator: 'sl-1', times: { 'sl-2': { waiting: 0.5 } } });
    expect(late.told).toEqual({});
  });
});
