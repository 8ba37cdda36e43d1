/** The rows of the node tree, from what a swarm says; how it looks at 1, at 10 and at 100 learning nodes. */
import type { NodeInfo, SwarmInfo, TrainingInfo } from '../api';
import { type Look, nodeLook, roster, running } from '../states';

/** Up to here each learning node has a second line with its load. */
export const WITH_LOAD = 8;
/** Up to here each learning node has a row; with more there is a mark for each and rows for exceptions. */
export const WITH_ROWS = 40;

export type GroupKey = 'services' | 'network' | 'learning' | 'look' | 'all';

export interface GroupRow {
  kind: 'group';
  key: GroupKey;
  open: boolean;
  /** 1, or 2 for what lies in the learning nodes. */
  level: number;
  total: number;
  up: number;
  /** What is not as it should be, the worst first. */
  exceptions: { look: Look; count: number }[];
}

export interface NodeRow {
  kind: 'node';
  key: string;
  group: GroupKey;
  level: number;
  node: NodeInfo;
  look: Look;
  /** Its place in the roster, of a learning node. */
  index: number | null;
  /** With its load in a second line. */
  loaded: boolean;
  /** Why it is not as it should be. */
  why: string;
}

export type Row = GroupRow | NodeRow;

export interface Tree {
  rows: Row[];
  /** One per learning node, if there are too many for rows. */
  marks: { name: string; look: Look }[] | null;
}

const KINDS: Record<string, GroupKey> = {
  license: 'services',
  identity: 'services',
  chain: 'network',
  sentinel: 'network',
  sn: 'network',
  sl: 'learning'
};

const WORST_FIRST = ['bad', 'warn', 'idle'];
const UP = new Set(['ready', 'training', 'waiting']);

/** `closed` are the groups that the user has closed (of `all`: opened); `filter` is over name, host and state. */
export function treeOf(swarm: SwarmInfo, closed: ReadonlySet<GroupKey>, filter = ''): Tree {
  const training = running(swarm);
  const places = roster(swarm);
  const learning = swarm.nodes.filter(node => node.kind === 'sl').length;
  const dense = learning > WITH_ROWS;
  const wanted = filter.trim().toLowerCase();
  const rows: Row[] = [];
  const made = swarm.nodes.map(node => rowOf(node, training, places, learning <= WITH_LOAD));
  const matches = made.filter(row => matching(row, wanted));
  for (const group of ['services', 'network', 'learning'] as const) {
    const all = made.filter(row => row.group === group);
    const shown = matches.filter(row => row.group === group);
    if (all.length === 0 || (wanted && shown.length === 0)) {
      continue;
    }
    const open = Boolean(wanted) || !closed.has(group);
    rows.push(groupOf(group, all, open));
    if (open && group === 'learning' && dense && !wanted) {
      rows.push(...denseRows(all, closed));
    } else if (open) {
      rows.push(...shown);
    }
  }
  const marked = dense && !wanted && !closed.has('learning');
  const seats = made.filter(row => row.group === 'learning');
  return { rows, marks: marked ? seats.map(({ key, look }) => ({ name: key, look })) : null };
}

/** Those that need a look, and a group that holds the rest; nodes of it are rows only when it is opened. */
function denseRows(learning: NodeRow[], closed: ReadonlySet<GroupKey>): Row[] {
  const rows: Row[] = [];
  const deep = learning.map(row => ({ ...row, level: 3, loaded: false }));
  const exceptions = deep.filter(row => row.look.tone === 'bad' || row.look.tone === 'warn' || row.why);
  if (exceptions.length > 0) {
    rows.push({ ...groupOf('look', exceptions, !closed.has('look'), 2), exceptions: [] });
    rows.push(...(closed.has('look') ? [] : exceptions.map(row => ({ ...row, key: `look ${row.key}` }))));
  }
  rows.push({ ...groupOf('all', deep, closed.has('all'), 2), exceptions: [] });
  return closed.has('all') ? [...rows, ...deep] : rows;
}

function groupOf(key: GroupKey, nodes: NodeRow[], open: boolean, level = 1): GroupRow {
  const counts = new Map<string, { look: Look; count: number }>();
  for (const { look, node } of nodes) {
    if (look.tone === 'bad' || look.tone === 'warn' || !UP.has(node.state)) {
      const known = counts.get(look.word) ?? { look, count: 0 };
      counts.set(look.word, { look, count: known.count + 1 });
    }
  }
  const down = [...counts.values()];
  const rank = (look: Look): number => (WORST_FIRST.indexOf(look.tone) + 4) % 4;
  down.sort((a, b) => rank(a.look) - rank(b.look));
  const missing = down.reduce((sum, { count }) => sum + count, 0);
  return { kind: 'group', key, open, level, total: nodes.length, up: nodes.length - missing, exceptions: down };
}

function rowOf(
  node: NodeInfo,
  training: TrainingInfo | null,
  places: Map<string, number>,
  loaded: boolean
): NodeRow {
  const learns = node.kind === 'sl';
  const look = nodeLook(node, training);
  return {
    kind: 'node',
    key: node.name,
    group: KINDS[node.kind] ?? 'services',
    level: 2,
    node,
    look,
    index: places.get(node.name) ?? null,
    loaded: learns && loaded && node.load !== null && look.tone !== 'bad',
    why: whyOf(node, training)
  };
}

/** A healthy node is quiet. */
function whyOf(node: NodeInfo, training: TrainingInfo | null): string {
  const lost = training?.lost[node.name] as { reason?: unknown } | undefined;
  if (lost !== undefined) {
    return String(lost.reason ?? '') || node.message;
  }
  const failed = training?.failed[node.name];
  if (failed) {
    return failed;
  }
  const wrong = node.state === 'failed' || node.state === 'degraded' || node.state === 'starting';
  return wrong ? node.message : '';
}

function matching(row: NodeRow, wanted: string): boolean {
  const { node, look } = row;
  return !wanted || [node.name, node.host, node.state, look.word].some(text => text.toLowerCase().includes(wanted));
}

/** Where a key leads in the tree: another row, or a group to open or close; null if it is none of the tree's. */
export function moveIn(rows: readonly Row[], at: number, key: string): { to?: number; toggle?: GroupKey } | null {
  const row = rows[at];
  switch (key) {
    case 'ArrowDown':
      return { to: Math.min(rows.length - 1, at + 1) };
    case 'ArrowUp':
      return { to: Math.max(0, at - 1) };
    case 'Home':
      return { to: 0 };
    case 'End':
      return { to: rows.length - 1 };
    case 'ArrowRight':
      if (row?.kind !== 'group') {
        return null;
      }
      return row.open ? { to: Math.min(rows.length - 1, at + 1) } : { toggle: row.key };
    case 'ArrowLeft':
      if (row?.kind === 'group' && row.open) {
        return { toggle: row.key };
      }
      return { to: Math.max(0, parentOf(rows, at)) };
    default:
      return null;
  }
}

function parentOf(rows: readonly Row[], at: number): number {
  const level = rows[at]?.level ?? 1;
  return rows.findLastIndex((row, index) => index < at && row.kind === 'group' && row.level < level);
}
