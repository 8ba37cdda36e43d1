/** The icons of all surfaces, 16 x 16, drawn with the current colour; each state has a silhouette of its own. */

const HEXAGON = 'M8 1.5 13.6 4.75v6.5L8 14.5 2.4 11.25v-6.5z';

/** Name to the inside of an `<svg viewBox="0 0 16 16">`. */
export const ICONS = {
  license:
    '<path d="M1.8 4.5h12.4v2a1.5 1.5 0 0 0 0 3v2H1.8v-2a1.5 1.5 0 0 0 0-3z"/><path d="M9.6 5.6v1m0 1.2v1m0 1.1v1"/>',
  identity:
    '<path d="M8 1.6 13.2 3.5v4.2c0 3.2-2.2 5.4-5.2 6.7-3-1.3-5.2-3.5-5.2-6.7V3.5z"/><circle cx="8" cy="6.6" r="1.4"/><path d="M8 8v2.6"/>',
  sentinel: `<path d="${HEXAGON}"/><circle class="f" cx="8" cy="8" r="2.4"/>`,
  sn: `<path d="${HEXAGON}"/>`,
  sl: '<circle cx="8" cy="8" r="6.2"/><path d="M4.6 5.2c.5 3.4 2 5.2 6.8 5.4"/>',
  chain:
    '<rect x="1.8" y="5.4" width="6" height="5.2" rx="1.2"/><path d="M7.8 8h.4"/><rect x="8.2" y="5.4" width="6" height="5.2" rx="1.2"/>',
  swci:
    '<rect x="1.8" y="2.8" width="12.4" height="10.4" rx="1.5"/><path d="m4.4 6 2 2-2 2m3.8.2h3"/>',
  host:
    '<rect x="2" y="2.5" width="12" height="4.6" rx="1"/><rect x="2" y="8.9" width="12" height="4.6" rx="1"/><path d="M4.6 4.8h.1m-.1 6.4h.1"/>',
  swarm:
    '<circle cx="8" cy="3.2" r="1.8"/><circle cx="3.2" cy="12" r="1.8"/><circle cx="12.8" cy="12" r="1.8"/><path d="M7 4.8 4.1 10.3m4.9-5.5 2.9 5.5M5.2 12h5.6"/>',
  ready: '<circle cx="8" cy="8" r="6.2"/><path d="m5.2 8.2 2 2 3.6-4.2"/>',
  training:
    '<circle class="f" cx="8" cy="8" r="7"/><path class="x" fill="none" d="M6.6 5.2v5.6L11 8z" stroke-width="1.2"/>',
  waiting:
    '<path d="M4 2h8M4 14h8M4.8 2c0 3.5 1.4 4.4 3.2 6-1.8 1.6-3.2 2.5-3.2 6M11.2 2c0 3.5-1.4 4.4-3.2 6 1.8 1.6 3.2 2.5 3.2 6"/>',
  exchanging:
    '<path d="M2 5.4h11m-3-3 3 3-3 3M14 10.8H3m3-3-3 3 3 3" transform="translate(0 -.2)"/>',
  merged:
    '<path d="M3.4 2v2.4c0 2.2 4.6 2.4 4.6 5.2V14M12.6 2v2.4c0 2.2-4.6 2.4-4.6 5.2M5.8 12 8 14.2l2.2-2.2"/>',
  committed: '<rect x="2" y="2" width="12" height="12" rx="2"/><path d="m5 8.2 2 2 4-4.4"/>',
  starting: '<circle cx="8" cy="8" r="6.2" stroke-dasharray="3 2.6"/>',
  restarting: '<path d="M13.6 8a5.6 5.6 0 1 1-1.7-4M13.8 1.8v3h-3"/>',
  lost:
    '<circle class="f" cx="8" cy="8" r="7"/><path class="x" d="m5.4 5.4 5.2 5.2m0-5.2-5.2 5.2"/>',
  failed:
    '<path d="M5.2 1.6h5.6l3.6 3.6v5.6l-3.6 3.6H5.2l-3.6-3.6V5.2z"/><path d="M8 4.8v3.8m0 2.4v.1"/>',
  stopped: '<rect class="f" x="3" y="3" width="10" height="10" rx="1.5"/>',
  finished: '<path d="M3.6 14.4V2h8.8l-1.8 3.2 1.8 3.2H3.6"/>',
  warn: '<path d="M8 2 15 13.8H1z"/><path d="M8 6.4v3.4m0 2v.1"/>',
  dropped: '<circle cx="8" cy="8" r="6.2"/><path d="M5 8h6"/>',
  info: '<circle cx="8" cy="8" r="6.2"/><path d="M8 7.4v3.8M8 4.8v.1"/>',
  dot: '<circle class="f" cx="8" cy="8" r="3.4"/>',
  plus: '<path d="M8 3v10M3 8h10"/>',
  minus: '<path d="M3 8h10"/>',
  close: '<path d="m4 4 8 8m0-8-8 8"/>',
  more:
    '<g class="f"><circle cx="3.4" cy="8" r="1.3"/><circle cx="8" cy="8" r="1.3"/><circle cx="12.6" cy="8" r="1.3"/></g>',
  stop: '<rect x="3.5" y="3.5" width="9" height="9" rx="1"/>',
  play: '<path class="f" d="M4.5 2.8v10.4L13 8z"/>',
  refresh: '<path d="M13.4 8A5.4 5.4 0 1 1 11.8 4.2M12.6 1.8v3h-3"/>',
  doctor: '<path d="M1.5 8.5h3L6.2 4l3 8 1.8-3.5h3.5"/>',
  search: '<circle cx="7" cy="7" r="4.4"/><path d="m10.4 10.4 3.4 3.4"/>',
  open: '<path d="M6.5 3H3v10h10V9.5M9 2.5h4.5V7M13 3 7.6 8.4"/>',
  notebook: '<rect x="3" y="2" width="10" height="12" rx="1"/><path d="M5.6 2v12M8 5.5h3M8 8h3"/>',
  table:
    '<rect x="2" y="3" width="12" height="10" rx="1"/><path d="M2 6.4h12M2 9.7h12M6.4 6.4V13"/>',
  copy: '<rect x="5.5" y="5.5" width="8" height="8.5" rx="1"/><path d="M10.5 3.2V2h-8v8.5h1.6"/>',
  download: '<path d="M8 2v8m-3-3 3 3 3-3M2.8 13.5h10.4"/>',
  follow: '<path d="M8 2v8.5m-3.5-3.4L8 10.6l3.5-3.5M3 14h10"/>',
  left: '<path d="m10 4-4 4 4 4"/>',
  right: '<path d="m6 4 4 4-4 4"/>',
  fast: '<path class="f" d="M2.5 3.5 8 8l-5.5 4.5zM8 3.5 13.5 8 8 12.5z"/>',
  down: '<path d="m4 6 4 4 4-4"/>',
  up: '<path d="m4 10 4-4 4 4"/>',
  list: '<path d="M5.5 4h8m-8 4h8m-8 4h8M2.6 4h.1m-.1 4h.1m-.1 4h.1"/>',
  filter: '<path d="M2 4h12M4.5 8h7M6.5 12h3"/>',
  clock: '<circle cx="8" cy="8" r="6.2"/><path d="M8 4.4V8l2.4 1.6"/>',
  link:
    '<path d="M6.6 9.4a2.6 2.6 0 0 0 3.7 0l2.5-2.5a2.6 2.6 0 1 0-3.7-3.7l-.9.9M9.4 6.6a2.6 2.6 0 0 0-3.7 0L3.2 9.1a2.6 2.6 0 1 0 3.7 3.7l.9-.9"/>',
  edit: '<path d="m3 13 .6-3L11 2.6 13.4 5 6 12.4z"/>',
  book:
    '<path d="M8 4c-1.6-1.2-3.6-1.4-6-1.4V12c2.4 0 4.4.2 6 1.4 1.6-1.2 3.6-1.4 6-1.4V2.6c-2.4 0-4.4.2-6 1.4zm0 0v9.2"/>'
} as const;

export type IconName = keyof typeof ICONS;

/** That of a kind of node. */
export function kindIcon(kind: string): IconName {
  return kind in ICONS ? (kind as IconName) : 'info';
}
