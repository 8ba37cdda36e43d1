/** Where the nodes of a swarm stand in its topology, for one node up to many. Numbers only, no drawing. */

export interface INodePlace {
  name: string;
  kind: string;
  host: string;
}

export interface IPoint {
  x: number;
  y: number;
}

export interface IBox extends IPoint {
  label: string;
  width: number;
  height: number;
}

/** `plain`: every line is drawn. `ring`: those of the chosen node. `dense`: marks in a box per host. */
export type Shape = 'plain' | 'ring' | 'dense';

export interface ILayout {
  shape: Shape;
  width: number;
  height: number;
  /** By node its centre. */
  at: Map<string, IPoint>;
  /** Of an SL node. */
  radius: number;
  boxes: IBox[];
  /** By host that is not open: its bubble. */
  bubbles: Map<string, IPoint & { radius: number; count: number }>;
}

const PLAIN = 8;
const RING = 40;
const SERVICES = 44;
const NETWORK = 124;
const PITCH = 20;
const WIDEST = 184;

export function shapeOf(learning: number): Shape {
  return learning <= PLAIN ? 'plain' : learning <= RING ? 'ring' : 'dense';
}

/** `open`: hosts whose nodes are shown one by one where nodes are too many for that. */
export function layoutOf(nodes: INodePlace[], width: number, open: ReadonlySet<string> = new Set()): ILayout {
  const learning = nodes.filter(node => node.kind === 'sl');
  const shape = shapeOf(learning.length);
  const layout: ILayout = { shape, width, height: 0, at: new Map(), radius: 18, boxes: [], bubbles: new Map() };
  const hosts = [...new Set(nodes.map(node => node.host))];
  const columns = shape === 'plain' && hosts.length > 1 && hosts.length <= 4 ? hosts : null;
  const rows: [number, string[]][] = [
    [SERVICES, ['license', 'identity', 'chain']],
    [NETWORK, ['sentinel', 'sn']]
  ];
  rows.forEach(([y, kinds]) => row(layout, nodes.filter(node => kinds.includes(node.kind)), y, columns));
  if (shape === 'plain') {
    bowl(layout, learning, columns);
  } else if (shape === 'ring') {
    ring(layout, learning);
  } else {
    dense(layout, learning, open);
  }
  if (columns) {
    const wide = width / columns.length;
    layout.boxes = columns.map((label, at) => ({ label, x: at * wide + 4, y: 4, width: wide - 8, height: layout.height - 8 }));
  }
  return layout;
}

/** The node nearest to `from` in a direction; null where there is none. */
export function nearest(at: Map<string, IPoint>, from: string, dx: number, dy: number): string | null {
  const start = at.get(from);
  let best: string | null = null;
  let least = Infinity;
  for (const [name, point] of at) {
    if (!start || name === from) {
      continue;
    }
    const along = (point.x - start.x) * dx + (point.y - start.y) * dy;
    const aside = Math.abs((point.x - start.x) * dy) + Math.abs((point.y - start.y) * dx);
    // Straight ahead counts more than near: a row is walked along, not zigzag to the one below.
    const far = along + 2 * aside;
    if (along > 0.5 && aside <= 3 * along && far < least) {
      [best, least] = [name, far];
    }
  }
  return best;
}

/** Side by side; with columns, each under its host. */
function row(layout: ILayout, nodes: INodePlace[], y: number, columns: string[] | null): void {
  const groups = columns ? columns.map(host => nodes.filter(node => node.host === host)) : [nodes];
  const wide = layout.width / groups.length;
  groups.forEach((group, column) =>
    group.forEach((node, at) => {
      const pitch = Math.min(WIDEST, wide / group.length);
      const x = (column + 0.5) * wide + pitch * (at - (group.length - 1) / 2);
      layout.at.set(node.name, { x, y: y + (columns ? 20 : 0) });
    })
  );
}

/** Learning nodes in a bowl: no line between two of them runs through a third. */
function bowl(layout: ILayout, nodes: INodePlace[], columns: string[] | null): void {
  const top = 216;
  const depth = nodes.length > 2 ? 64 : 0;
  row(layout, nodes, top, columns);
  const xs = nodes.map(node => layout.at.get(node.name)!.x);
  const [left, right] = [Math.min(...xs), Math.max(...xs)];
  for (const node of nodes) {
    const point = layout.at.get(node.name)!;
    const share = right > left ? (point.x - left) / (right - left) : 0.5;
    point.y += depth * Math.sin(Math.PI * share);
  }
  layout.height = top + (columns ? 20 : 0) + depth + 56;
}

function ring(layout: ILayout, nodes: INodePlace[]): void {
  layout.radius = nodes.length <= 16 ? 14 : 9;
  const rx = Math.min(layout.width / 2 - 48, 260);
  const ry = Math.min(rx, 120);
  const centre = { x: layout.width / 2, y: NETWORK + 56 + ry };
  nodes.forEach((node, at) => {
    const angle = (2 * Math.PI * at) / nodes.length - Math.PI / 2;
    layout.at.set(node.name, { x: centre.x + rx * Math.cos(angle), y: centre.y + ry * Math.sin(angle) });
  });
  layout.height = centre.y + ry + 40;
}

/** One bubble a host; one that is open, or the only one, is a box of marks. */
function dense(layout: ILayout, nodes: INodePlace[], open: ReadonlySet<string>): void {
  layout.radius = 7;
  const hosts = [...new Set(nodes.map(node => node.host))];
  let y = NETWORK + 40;
  const shown = hosts.filter(host => hosts.length === 1 || open.has(host));
  for (const host of shown) {
    const inside = nodes.filter(node => node.host === host);
    const across = Math.max(1, Math.min(20, Math.floor((layout.width - 32) / PITCH)));
    const wide = across * PITCH + 16;
    const x = (layout.width - wide) / 2;
    inside.forEach((node, at) =>
      layout.at.set(node.name, {
        x: x + 8 + PITCH * ((at % across) + 0.5),
        y: y + 28 + PITCH * (Math.floor(at / across) + 0.5)
      })
    );
    const height = 36 + PITCH * Math.ceil(inside.length / across);
    layout.boxes.push({ label: host, x, y, width: wide, height });
    y += height + 12;
  }
  const closed = hosts.filter(host => !shown.includes(host));
  const across = Math.max(1, Math.min(closed.length, Math.floor(layout.width / 112)));
  closed.forEach((host, at) => {
    const count = nodes.filter(node => node.host === host).length;
    const x = (layout.width * ((at % across) + 0.5)) / across;
    const place = { x, y: y + 48 + 104 * Math.floor(at / across) };
    layout.bubbles.set(host, { ...place, radius: Math.min(40, 16 + 2.4 * Math.sqrt(count)), count });
  });
  layout.height = y + 104 * Math.ceil(closed.length / across);
}
