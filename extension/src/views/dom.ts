/** Small makers of elements; texts go in as text, so that no name or message can become markup. */
import { ICONS, type IconName } from '../icons';
import type { Look } from '../states';
import { lineStyle } from '../states';
import type { Trans } from '../words';
import { wordsOf } from '../words';

type Attributes = Record<string, string | number | boolean | null | undefined>;
type Child = Node | string | null;

const SVG = 'http://www.w3.org/2000/svg';

/** An HTML element; `className` may have several classes, attributes that are null or undefined are left out. */
export function el<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  className = '',
  attributes: Attributes = {},
  ...children: Child[]
): HTMLElementTagNameMap[K] {
  const made = document.createElement(tag);
  if (className) {
    made.className = className;
  }
  setAttributes(made, attributes);
  made.append(...children.filter(child => child !== null));
  return made;
}

/** An SVG element. */
export function svg<K extends keyof SVGElementTagNameMap>(
  tag: K,
  attributes: Attributes = {},
  ...children: Child[]
): SVGElementTagNameMap[K] {
  const made = document.createElementNS(SVG, tag);
  setAttributes(made, attributes);
  made.append(...children.filter(child => child !== null));
  return made;
}

export function setAttributes(element: Element, attributes: Attributes): void {
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined) {
      element.setAttribute(name, String(value));
    }
  }
}

/** Replace a text only where it differs: what a reader has selected or hears stays. */
export function setText(element: Element, text: string): void {
  if (element.textContent !== text) {
    element.textContent = text;
  }
}

/** An icon; without a label it is for the eye alone. */
export function icon(name: IconName, className = '', label = ''): SVGSVGElement {
  const made = svg('svg', {
    class: className ? `swl-Icon ${className}` : 'swl-Icon',
    viewBox: '0 0 16 16',
    role: label ? 'img' : null,
    'aria-label': label || null,
    'aria-hidden': label ? null : 'true'
  });
  made.innerHTML = ICONS[name];
  return made;
}

/** Icon and word of a state. */
export function stateOf(look: Look, trans: Trans): HTMLSpanElement {
  return el('span', `swl-State is-${look.tone}`, {}, icon(look.icon), wordsOf(trans)(look.word));
}

/** A sample of a node's line. */
export function swatch(place: number): SVGSVGElement {
  const { color, dash } = lineStyle(place);
  const line = svg('line', { x1: 0, x2: 16, y1: 2, y2: 2, 'stroke-width': 3, 'stroke-dasharray': dash || null });
  line.style.stroke = color;
  return svg('svg', { class: 'swl-Swatch', viewBox: '0 0 16 4', 'aria-hidden': 'true' }, line);
}

/** A button with an icon and a word, or with an icon alone whose name is its tip. */
export function button(
  name: IconName,
  label: string,
  act: () => void,
  options: { word?: boolean; className?: string } = {}
): HTMLButtonElement {
  const made = el('button', `swl-Button${options.word ? '' : ' is-icon'} ${options.className ?? ''}`.trim(), {
    type: 'button',
    title: options.word ? null : label,
    'aria-label': options.word ? null : label
  });
  made.append(icon(name), ...(options.word ? [label] : []));
  made.addEventListener('click', act);
  return made;
}

/** The width of an element; where nothing is laid out (yet), a usual one. */
export function widthOf(element: Element, usual = 640): number {
  return element.clientWidth || usual;
}

/** Calls back when an element gets another width, and once it is laid out; returns how to end that. */
export function onResize(element: Element, changed: () => void): () => void {
  if (typeof ResizeObserver === 'undefined') {
    return () => undefined;
  }
  let width = element.clientWidth;
  const observer = new ResizeObserver(() => {
    if (element.clientWidth !== width) {
      width = element.clientWidth;
      changed();
    }
  });
  observer.observe(element);
  return () => observer.disconnect();
}
