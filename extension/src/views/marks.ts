/** How nodes, bubbles of nodes and the lines between them look in the topology. */
import type { IconName } from '../icons';
import { type Look, lineStyle } from '../states';
import type { Trans } from '../words';
import { icon, setAttributes, svg } from './dom';
import type { ILayout, IPoint } from './layout';

export interface IMark {
  name: string;
  kind: string;
  place: number;
  look: Look;
  word: string;
  coordinator: boolean;
  selected: boolean;
}

const KINDS: Partial<Record<string, IconName>> = {
  license: 'license',
  identity: 'identity',
  chain: 'chain',
  sl: 'sl'
};
const LABELLED = 24;

/** A node: its shape says the kind, its edge the line of its curve, a sign at its corner what is wrong. */
export function nodeMark(mark: IMark, layout: ILayout, trans: Trans): SVGGElement {
  const at = layout.at.get(mark.name)!;
  const learns = mark.kind === 'sl';
  const spoken = mark.coordinator ? trans.__('%1, %2, coordinator', mark.name, mark.word) : `${mark.name}, ${mark.word}`;
  const group = svg('g', {
    class: mark.selected ? 'mark is-selected' : 'mark',
    role: 'button',
    'aria-pressed': mark.selected,
    'aria-label': spoken,
    'data-node': mark.name
  });
  if (learns && layout.shape === 'dense') {
    group.append(svg('title', {}, spoken), svg('circle', { class: 'hit', cx: at.x, cy: at.y, r: 10 }), dot(mark, at));
    return group;
  }
  const radius = learns ? layout.radius : 16;
  group.append(svg('circle', { class: 'halo', cx: at.x, cy: at.y, r: radius + 8 }));
  if (mark.coordinator) {
    group.append(svg('circle', { class: 'ring', cx: at.x, cy: at.y, r: radius + 5 }));
  }
  group.append(shape(mark, at, radius), ...inside(mark, at, radius), ...sign(mark, at, radius));
  if (!learns || layout.at.size <= LABELLED || mark.selected || mark.look.tone === 'bad' || mark.coordinator) {
    group.append(...labels(mark, at, radius, layout, trans));
  } else {
    group.append(svg('title', {}, spoken));
  }
  return group;
}

/** The nodes of a host that is not open. */
export function bubbleMark(host: string, bubble: IPoint & { radius: number; count: number }, bad: number, trans: Trans): SVGGElement {
  const { x, y, radius, count } = bubble;
  const words = trans._n('%1 node', '%1 nodes', count);
  const lost = bad ? trans.__('%1 need a look', bad) : '';
  const group = svg('g', {
    class: 'mark',
    role: 'button',
    tabindex: 0,
    'aria-expanded': false,
    'aria-label': [host, words, lost].filter(Boolean).join(', '),
    'data-host': host
  });
  group.append(
    svg('circle', { class: bad ? 'node dead' : 'node', cx: x, cy: y, r: radius }),
    svg('text', { class: 'ink b', x, y: y + 4, 'text-anchor': 'middle' }, String(count)),
    svg('text', { class: 'ink', x, y: y + radius + 14, 'text-anchor': 'middle' }, host),
    svg('text', { x, y: y + radius + 27, 'text-anchor': 'middle' }, lost)
  );
  return group;
}

/** Samples of the lines that are there, with their meaning. */
export function edgeSamples(kinds: ReadonlySet<string>, trans: Trans): HTMLElement[] {
  const words: [string, string][] = [
    ['exch', trans.__('exchange of the round')],
    ['chain', trans.__('chain peers')],
    ['reg', trans.__('registered with')],
    ['dead', trans.__('lost')]
  ];
  const seen = [...kinds].map(kind => kind.split(' ')[0]);
  return words
    .filter(([kind]) => seen.includes(kind))
    .map(([kind, word]) => {
      const lines = (kind === 'chain' ? [2, 6] : [4]).map(y => svg('line', { class: `e-${kind}`, x1: 0, x2: 24, y1: y, y2: y }));
      const sample = document.createElement('span');
      sample.append(svg('svg', { class: 'swl-Topo', width: 24, height: 8, 'aria-hidden': 'true' }, ...lines), word);
      return sample;
    });
}

function shape(mark: IMark, { x, y }: IPoint, radius: number): SVGElement {
  const dead = mark.look.tone === 'bad';
  const kind = dead ? 'node dead' : 'node';
  if (mark.kind === 'sn' || mark.kind === 'sentinel') {
    return svg('path', { class: kind, d: `M${x} ${y - 18}l15.6 9v18L${x} ${y + 18}l-15.6-9v-18z` });
  }
  if (mark.kind !== 'sl') {
    return svg('rect', { class: kind, x: x - 16, y: y - 16, width: 32, height: 32, rx: 4 });
  }
  const circle = svg('circle', { class: kind, cx: x, cy: y, r: radius });
  if (!dead) {
    const { color, dash } = lineStyle(mark.place);
    circle.style.stroke = color;
    circle.style.strokeWidth = '2.5';
    setAttributes(circle, { 'stroke-dasharray': dash || null });
  }
  return circle;
}

function inside(mark: IMark, { x, y }: IPoint, radius: number): SVGElement[] {
  if (mark.kind === 'sentinel') {
    return [svg('circle', { class: 'core', cx: x, cy: y, r: 4 })];
  }
  if (mark.kind === 'sn') {
    return [svg('path', { class: 'rungs', d: `M${x - 5} ${y - 3}h10M${x - 5} ${y}h10M${x - 5} ${y + 3}h10` })];
  }
  const name = KINDS[mark.kind];
  if (mark.kind === 'sl') {
    const d = `M${x - radius * 0.33} ${y - radius * 0.25}c${radius * 0.05} ${radius * 0.35} ${radius * 0.2} ${radius * 0.5} ${radius * 0.66} ${radius * 0.5}`;
    return radius > 10 ? [svg('path', { class: 'rungs', d })] : [];
  }
  if (!name) {
    return [];
  }
  const drawing = icon(name);
  setAttributes(drawing, { x: x - 8, y: y - 8, width: 16, height: 16 });
  return [drawing];
}

/** What is wrong, or not over, at the upper right. */
function sign(mark: IMark, { x, y }: IPoint, radius: number): SVGElement[] {
  if (mark.look.tone !== 'bad' && mark.look.tone !== 'warn') {
    return [];
  }
  const drawing = icon(mark.look.icon, `is-${mark.look.tone}`);
  setAttributes(drawing, { x: x + radius * 0.7 - 6, y: y - radius * 0.7 - 10, width: 16, height: 16 });
  return [svg('circle', { class: 'under', cx: x + radius * 0.7 + 2, cy: y - radius * 0.7 - 2, r: 8 }), drawing];
}

function labels(mark: IMark, { x, y }: IPoint, radius: number, layout: ILayout, trans: Trans): SVGElement[] {
  const text = (words: string, at: number, kind: string): SVGElement =>
    svg('text', { class: kind, x, y: at, 'text-anchor': 'middle' }, words);
  const below = y + radius + 16;
  if (layout.shape === 'ring' && mark.kind === 'sl') {
    return [text(mark.name, below - 2, 'ink')];
  }
  if (mark.kind === 'sentinel' || mark.kind === 'sn') {
    // Beside it: below run the lines of those that are registered.
    const left = x < layout.width / 2 - 1;
    const side = { x: x + (left ? -24 : 24), 'text-anchor': left ? 'end' : 'start' };
    return [
      svg('text', { class: 'ink b', ...side, y: y - 2 }, mark.name),
      svg('text', { class: 'sub', ...side, y: y + 11 }, mark.word.toLowerCase())
    ];
  }
  const parts = [text(mark.name, below, 'ink b'), text(mark.word.toLowerCase(), below + 13, 'sub')];
  if (mark.coordinator) {
    const top = y - radius - 26;
    const wide = 76;
    parts.push(
      svg('rect', { class: 'tag', x: x - wide / 2, y: top, width: wide, height: 16, rx: 2 }),
      text(trans.__('coordinator'), top + 12, 'tagt')
    );
  }
  return parts;
}

/** Where there are very many: a grey point, or the icon of its state where that needs a look. */
function dot(mark: IMark, { x, y }: IPoint): SVGElement {
  const quiet = mark.look.tone === 'busy' || mark.look.tone === 'ok' || mark.look.icon === 'dot';
  const drawing = icon(quiet ? 'dot' : mark.look.icon, quiet || mark.look.tone !== 'bad' ? 'is-idle' : 'is-bad');
  setAttributes(drawing, { x: x - 7, y: y - 7, width: 14, height: 14 });
  return drawing;
}
