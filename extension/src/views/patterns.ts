/** The two hatchings of the timeline, once in a page: stripes for exchanging, a cross hatch for dropped. */
import { svg } from './dom';

const ID = 'swl-patterns';

/** Put them into the page unless they are there; several bundles share them. */
export function ensurePatterns(): void {
  if (document.getElementById(ID)) {
    return;
  }
  const stripes = svg('pattern', { id: 'swl-stripes', width: 6, height: 6, patternUnits: 'userSpaceOnUse', patternTransform: 'rotate(45)' });
  stripes.append(svg('line', { class: 'swl-hatch-e', x1: 0, x2: 0, y1: 0, y2: 6 }));
  const cross = svg('pattern', { id: 'swl-cross', width: 5, height: 5, patternUnits: 'userSpaceOnUse' });
  cross.append(svg('path', { class: 'swl-hatch-d', d: 'M0 0 5 5M5 0 0 5' }));
  const holder = svg('svg', { id: ID, width: 0, height: 0, 'aria-hidden': 'true' }, svg('defs', {}, stripes, cross));
  holder.style.position = 'absolute';
  document.body.append(holder);
}
