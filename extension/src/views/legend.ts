/** What the marks of the timeline mean. */
import type { Trans } from '../words';
import { el, svg } from './dom';

export function legend(trans: Trans): HTMLElement {
  const sample = (...parts: SVGElement[]): SVGElement =>
    svg('svg', { class: 'swl-Lanes', width: 20, height: 14, 'aria-hidden': 'true' }, ...parts);
  const box = (kind: string): SVGElement => svg('rect', { class: kind, x: 0.5, y: 1.5, width: 19, height: 11, rx: 1 });
  const marks: [SVGElement, string][] = [
    [sample(box('t-train')), trans.__('training')],
    [sample(svg('rect', { class: 't-wait', x: 0.5, y: 3.5, width: 19, height: 7 })), trans.__('waiting for peers')],
    [sample(box('t-exch')), trans.__('exchanging')],
    [sample(svg('path', { class: 't-merge', d: 'M10 2l5 5-5 5-5-5z' })), trans.__('merged')],
    [sample(box('t-drop')), trans.__('dropped')],
    [
      sample(
        svg('circle', { class: 't-coord', cx: 10, cy: 7, r: 6 }),
        svg('text', { class: 'tagt', x: 10, y: 10.5, 'text-anchor': 'middle' }, 'C')
      ),
      trans.__('coordinator')
    ]
  ];
  const made = el('div', 'swl-Legend', { role: 'group', 'aria-label': trans.__('Legend') });
  made.append(...marks.map(([mark, word]) => el('span', '', {}, mark, word)));
  return made;
}
