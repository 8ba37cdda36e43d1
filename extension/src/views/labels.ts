/** The names of lines at their right ends, moved apart where they would lie over each other. */
import { el, svg, swatch } from './dom';
import type { Selection } from './selection';

export interface Label {
  /** Of the node; empty for the merged model. */
  name: string;
  text: string;
  /** Null: ink. */
  place: number | null;
  y: number;
}

const GAP = 13;

/** Labels from `x` on, none below `bottom`; a click on a node's name selects it. */
export function labelsAt(labels: Label[], x: number, bottom: number, selection: Selection): HTMLElement[] {
  const ordered = [...labels].sort((a, b) => a.y - b.y);
  const heights = apart(
    ordered.map(label => label.y),
    bottom - 2
  );
  return ordered.map((label, at) => {
    const sample = label.place === null ? inkSample() : swatch(label.place);
    const node = el('span', 'swl-Chart-label', {}, sample, label.text);
    node.classList.toggle('swl-b', label.place === null || label.name === selection.node);
    node.style.transform = `translate(${Math.round(x)}px, ${Math.round(heights[at] - GAP / 2)}px)`;
    if (label.name) {
      node.addEventListener('click', () => selection.toggleNode(label.name));
    }
    return node;
  });
}

/** The heights, in order, at least a line apart and none below `bottom` while there is room. */
export function apart(heights: number[], bottom: number): number[] {
  const placed = [...heights];
  for (let at = 1; at < placed.length; at++) {
    placed[at] = Math.max(placed[at], placed[at - 1] + GAP);
  }
  let limit = bottom;
  for (let at = placed.length - 1; at >= 0; at--) {
    placed[at] = Math.min(placed[at], limit);
    limit = placed[at] - GAP;
  }
  return placed;
}

function inkSample(): SVGElement {
  const line = svg('line', { class: 'swl-merged', x1: 0, x2: 16, y1: 2, y2: 2, 'stroke-width': 3 });
  return svg('svg', { class: 'swl-Swatch', viewBox: '0 0 16 4' }, line);
}
