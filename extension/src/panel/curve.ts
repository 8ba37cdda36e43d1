/** The loss over the rounds as lines of a few pixels: of each node, of the merged model, or the nodes' range. */
import type { Columns } from '../views/curves';

/** With more nodes than lines can be told apart, their range is drawn. */
export const MOST_LINES = 12;

export interface Lines {
  rounds: number;
  /** Points as SVG has them. */
  lines: { node: string; points: string }[];
  band: string;
  merged: string;
}

/** Null before there are two rounds to draw a line between. What it costs depends on `width`, not on the rounds. */
export function lines({ rounds, merged, nodes, low, high }: Columns, width: number, height: number): Lines | null {
  // The model of the last rounds has not been judged yet.
  let told = merged.length;
  while (told > 0 && merged[told - 1] === null) {
    told -= 1;
  }
  const kept = decimated(told, Math.floor(width / 2)).filter(at => merged[at] !== null);
  if (kept.length < 2) {
    return null;
  }
  const values = kept.flatMap(at => [merged[at], low[at], high[at]]).filter(value => value !== null);
  const [least, most] = [Math.min(...values), Math.max(...values)];
  const [first, last] = [rounds[kept[0]], rounds[kept[kept.length - 1]]];
  const point = (at: number, value: number | null): string[] => {
    if (value === null) {
      return [];
    }
    const x = ((rounds[at] - first) / (last - first)) * width;
    const y = height - 3 - ((value - least) / (most - least || 1)) * (height - 6);
    return [`${x.toFixed(1)},${y.toFixed(1)}`];
  };
  const line = (column: readonly (number | null)[]): string => kept.flatMap(at => point(at, column[at])).join(' ');
  const many = nodes.size > MOST_LINES;
  const below = kept.flatMap(at => point(at, low[at])).reverse();
  return {
    rounds: last,
    lines: many ? [] : [...nodes].map(([node, column]) => ({ node, points: line(column) })),
    band: many ? [...kept.flatMap(at => point(at, high[at])), ...below].join(' ') : '',
    merged: line(merged)
  };
}

/** Places in a list of so many: at most `most`, the first and the last among them. */
function decimated(count: number, most: number): number[] {
  if (count <= most) {
    return Array.from({ length: count }, (_, at) => at);
  }
  const step = (count - 1) / (most - 1);
  return Array.from({ length: most }, (_, index) => Math.round(index * step));
}
