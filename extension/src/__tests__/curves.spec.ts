import { fold } from '../training';
import { Curves } from '../views/curves';
import { niceTicks, roundTicks, tickTexts } from '../views/ticks';
import { apart } from '../views/labels';
import { detailOf, facts } from './stories';

describe('Curves', () => {
  it('gives the same from fact to fact as from all at once', () => {
    const told = facts(3, 12, 9);
    const stepwise = new Curves('loss');
    let detail = fold(null, []);
    for (const fact of told) {
      detail = fold(detail, [fact]);
      stepwise.update(detail);
    }
    expect(stepwise.update(detail)).toEqual(new Curves('loss').update(fold(null, told)));
  });

  it('has a gap where a node took no part', () => {
    const { nodes, low, high, merged } = new Curves('loss').update(detailOf(3, 4, 3));
    expect(nodes.get('sl-3')!.map(value => value === null)).toEqual([false, false, true, true]);
    expect(high[0]! - low[0]!).toBeCloseTo(0.2);
    expect(merged[3]).toBeNull();
  });
});

describe('ticks', () => {
  it('are round numbers that hold all', () => {
    expect(tickTexts(niceTicks(0.29, 1.36))).toEqual(['0.0', '0.5', '1.0', '1.5']);
    expect(niceTicks(0.5, 0.5).length).toBeGreaterThan(1);
    expect(roundTicks(1, 2000, 900, 50)).toEqual([1, 200, 400, 600, 800, 1000, 1200, 1400, 1600, 1800, 2000]);
  });

  it('leave names a line apart', () => {
    expect(apart([10, 12, 90], 100)).toEqual([10, 23, 90]);
    expect(apart([95, 96, 97], 100)).toEqual([74, 87, 100]);
  });
});
