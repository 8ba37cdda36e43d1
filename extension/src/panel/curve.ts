/** The loss over the rounds as lines of a few pixels: of each node, of the merged model, or the nodes' range. */
import type { Measure } from '../api';

/** With more nodes than lines can be told apart, their range is drawn. */
export const MOST_LINES = 12;

export interface Curves {
  rounds: number;
  /** Points as SVG has them. */
  lines: { node: string; points: string }[];
  band: string;
  merged: string;
}

type Series = Map<number, number>;

/** Null before there are two rounds to draw a line between. */
export function curves(measures: readonly Measure[], width: number, height: number): Curves | null {
  const nodes = new Map<string, Series>();
  const rounds = new Map<number, { sum: number; count: number; low: number; high: number }>();
  for (const { round, node, loss } of measures) {
    if (loss === null || !Number.isFinite(loss)) {
      continue;
    }
    nodes.set(node, (nodes.get(node) ?? new Map<number, number>()).set(round, loss));
    const known = rounds.get(round) ?? { sum: 0, count: 0, low: loss, high: loss };
    rounds.set(round, {
      sum: known.sum + loss,
      count: known.count + 1,
      low: Math.min(known.low, loss),
      high: Math.max(known.high, loss)
    });
  }
  const kept = decimated([...rounds.keys()].sort((a, b) => a - b), Math.floor(width / 2));
  if (kept.length < 2) {
    return null;
  }
  const lows = kept.map(round => rounds.get(round)!.low);
  const highs = kept.map(round => rounds.get(round)!.high);
  const [low, high] = [Math.min(...lows), Math.max(...highs)];
  const first = kept[0];
  const span = kept[kept.length - 1] - first;
  const point = (round: number, value: number): string => {
    const x = ((round - first) / span) * width;
    const y = height - 3 - ((value - low) / (high - low || 1)) * (height - 6);
    return `${x.toFixed(1)},${y.toFixed(1)}`;
  };
  const many = nodes.size > MOST_LINES;
  const line = (series: Series): string =>
    kept.flatMap(round => (series.has(round) ? [point(round, series.get(round)!)] : [])).join(' ');
  const above = kept.map((round, index) => point(round, highs[index]));
  const below = kept.map((round, index) => point(round, lows[index])).reverse();
  return {
    rounds: kept[kept.length - 1],
    lines: many ? [] : [...nodes].map(([node, series]) => ({ node, points: line(series) })),
    band: many ? [...above, ...below].join(' ') : '',
    merged: kept
      .map(round => {
        const { sum, count } = rounds.get(round)!;
        return point(round, sum / count);
      })
      .join(' ')
  };
}

/** At most so many, the first and the last among them. */
function decimated(rounds: number[], most: number): number[] {
  if (rounds.length <= most) {
    return rounds;
  }
  const step = (rounds.length - 1) / (most - 1);
  return Array.from({ length: most }, (_, index) => rounds[Math.round(index * step)]);
}
