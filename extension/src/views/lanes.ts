/** The lanes of the round timeline: who trained, waited, exchanged, merged or was dropped in a few rounds. */
import type { NodePhase, Round, RoundTimes, TrainingDetail } from '../api';
import { duration } from '../format';
import { lineStyle } from '../states';
import type { Trans } from '../words';
import { icon, setAttributes, svg } from './dom';
import { roundOf } from './strip';

export interface ILane {
  /** A node's name, or that of a lane which sums up several. */
  name: string;
  /** Which line is the node's; null for a lane of several. */
  place: number | null;
  nodes: string[];
}

export interface ILanes {
  detail: TrainingDetail;
  lanes: ILane[];
  from: number;
  to: number;
  /** The round under way; null when the training is over. */
  live: number | null;
  selected: number | null;
  node: string | null;
  left: number;
  width: number;
  laneHeight: number;
  /** Unix seconds. */
  now: number;
}

const HEAD = 24;
const BAR = 16;

/** The numbers of the rounds over their columns, and how long they took. */
export function drawHead(target: SVGSVGElement, shown: ILanes, trans: Trans): void {
  if (!isNew(target, keyOf(shown))) {
    return;
  }
  const parts = columns(shown).flatMap(({ round, x, width }) => {
    const done = roundOf(shown.detail.rounds, round);
    const took = done ? (done.seconds === null ? '' : duration(done.seconds)) : trans.__('live');
    return [
      round === shown.selected ? selection(x, width, HEAD) : null,
      svg('line', { class: 'bound', x1: x, x2: x, y1: 0, y2: HEAD }),
      svg('text', { class: round === shown.selected ? 'ink b' : 'ink', x: x + 8, y: 16 }, trans.__('Round %1', round)),
      svg('text', { x: x + width - 8, y: 16, 'text-anchor': 'end' }, took)
    ];
  });
  fill(target, shown.width, HEAD, parts);
}

/** The lanes between two heights: those that are not seen are not drawn, and what has not changed is left alone. */
export function drawLanes(target: SVGSVGElement, shown: ILanes, trans: Trans, top: number, bottom: number): void {
  const { lanes, laneHeight, width } = shown;
  const height = lanes.length * laneHeight + 1;
  const first = Math.max(0, Math.floor(top / laneHeight));
  const last = Math.min(lanes.length, Math.ceil(bottom / laneHeight));
  const rows = lanes.slice(first, last).map((lane, at) => ({ lane, y: (first + at) * laneHeight }));
  const told = columns(shown).map(({ round }) => Object.keys(roundOf(shown.detail.rounds, round)?.times ?? {}).length);
  const names = rows.map(({ lane }) => lane.name).join();
  if (isNew(target, [keyOf(shown), shown.node, first, names, told.join()].join(' '))) {
    const parts = [...grid(shown, rows, height), ...committed(shown, rows, height, trans)];
    fill(target, width, height, [...parts, svg('g', { class: 'live' })]);
  }
  const live = columns(shown).find(({ round }) => round === shown.live);
  const now = target.lastElementChild!;
  now.replaceChildren(
    ...(live ? rows.flatMap(({ lane, y }) => under(lane, shown, barAt(live, y, laneHeight))) : []).filter(part => part !== null)
  );
}

interface IRow {
  lane: ILane;
  y: number;
}

interface IColumn {
  round: number;
  x: number;
  width: number;
}

/** Lines, names, and what is selected. */
function grid(shown: ILanes, rows: IRow[], height: number): (SVGElement | null)[] {
  const { laneHeight, width } = shown;
  const columns_ = columns(shown).map(({ round, x, width: wide }) => (round === shown.selected ? selection(x, wide, height) : null));
  const lines = rows.flatMap(({ lane, y }) => [
    lane.place !== null && lane.name === shown.node ? svg('rect', { class: 'lane-sel', x: 0, y, width, height: laneHeight }) : null,
    svg('line', { class: 'grid', x1: 0, x2: width, y1: y + 0.5, y2: y + 0.5 }),
    ...name(lane, y, laneHeight, shown.left)
  ]);
  return [...columns_, ...lines, svg('line', { class: 'axis', x1: 0, x2: width, y1: height - 0.5, y2: height - 0.5 })];
}

function committed(shown: ILanes, rows: IRow[], height: number, trans: Trans): (SVGElement | null)[] {
  return columns(shown).flatMap(column => {
    const done = roundOf(shown.detail.rounds, column.round);
    const bound = svg('line', { class: 'bound', x1: column.x, x2: column.x, y1: 0, y2: height });
    const longest = done ? longestOf(done) : 0;
    const bars = done ? rows.flatMap(({ lane, y }) => past(lane, done, barAt(column, y, shown.laneHeight), longest, trans)) : [];
    return [bound, ...bars];
  });
}

function barAt(column: IColumn, y: number, laneHeight: number): IBox {
  return { x: column.x + 4.5, y: y + (laneHeight - BAR) / 2, width: column.width - 9 };
}

/** What committed rounds in sight depend on. */
function keyOf(shown: ILanes): string {
  const { detail, from, to, live, selected, width, left, laneHeight } = shown;
  return [detail.id, detail.rounds.length, from, to, live, selected, width, left, laneHeight].join(' ');
}

/** Whether a drawing differs from the one that is there. */
function isNew(target: SVGSVGElement, key: string): boolean {
  const differs = target.dataset.key !== key;
  target.dataset.key = key;
  return differs;
}

/** Digest and transaction of each round. */
export function drawLedger(target: SVGSVGElement, shown: ILanes, trans: Trans): void {
  if (!isNew(target, keyOf(shown))) {
    return;
  }
  const height = 44;
  const parts: (SVGElement | null)[] = [
    svg('text', { x: 0, y: 16 }, trans.__('Digest')),
    svg('text', { x: 0, y: 34 }, trans.__('Transaction'))
  ];
  for (const { round, x, width } of columns(shown)) {
    const done = roundOf(shown.detail.rounds, round);
    parts.push(round === shown.selected ? selection(x, width, height) : null);
    parts.push(svg('line', { class: 'bound', x1: x, x2: x, y1: 0, y2: height }));
    if (done) {
      parts.push(svg('text', { class: 'ink mono', x: x + 8, y: 16 }, short(done.digest)));
      parts.push(svg('text', { class: 'ink mono', x: x + 8, y: 34 }, short(done.tx ?? '')));
    } else {
      parts.push(svg('text', { x: x + 8, y: 16 }, trans.__('not merged yet')));
    }
  }
  fill(target, shown.width, height, parts);
}

/** `1d64…d4c9`, or a dash. */
export function short(hash: string): string {
  const start = hash.startsWith('0x') ? 6 : 4;
  return hash.length > 12 ? `${hash.slice(0, start)}…${hash.slice(-4)}` : hash || '–';
}

interface IBox {
  x: number;
  y: number;
  width: number;
}

function columns(shown: ILanes): IColumn[] {
  const count = shown.to - shown.from + 1;
  const width = (shown.width - shown.left - 12) / count;
  return Array.from({ length: count }, (_, at) => ({ round: shown.from + at, x: shown.left + at * width, width }));
}

function longestOf(round: Round): number {
  let longest = 0;
  for (const node in round.times) {
    longest = Math.max(longest, sum(round.times[node]));
  }
  return longest;
}

function sum(times: RoundTimes): number {
  return times.training + times.waiting + times.exchanging;
}

/** A lane in a committed round. */
function past(lane: ILane, round: Round, box: IBox, longest: number, trans: Trans): (SVGElement | null)[] {
  const there = lane.nodes.filter(node => round.nodes.includes(node));
  if (!there.length) {
    const out = lane.nodes.find(node => node in round.left_out);
    return out === undefined ? [] : dropped(box, round.left_out[out], trans);
  }
  const told = there.map(node => round.times[node]).filter(times => times !== undefined);
  const end = box.x + box.width - 6;
  const parts: (SVGElement | null)[] = [];
  if (told.length && longest > 0) {
    const mean = (name: keyof RoundTimes): number => told.reduce((all, times) => all + times[name], 0) / told.length;
    const scale = (end - 4 - box.x) / longest;
    const [training, waiting, exchanging] = [mean('training'), mean('waiting'), mean('exchanging')].map(s => s * scale);
    const tip = (word: string, name: keyof RoundTimes): string => `${word} ${duration(mean(name))}`;
    parts.push(
      bar('t-train', box.x, box.y, training, tip(trans.__('training'), 'training')),
      waits(box.x + training, box.y, waiting, tip(trans.__('waiting for peers'), 'waiting')),
      bar('t-exch', box.x + training + waiting, box.y, exchanging, tip(trans.__('exchanging'), 'exchanging'))
    );
  } else {
    parts.push(bar('t-part', box.x, box.y + 6, end - 4 - box.x, trans.__('took part; its times were not told'), 4));
  }
  parts.push(svg('path', { class: 't-merge', d: `M${end + 1} ${box.y + 3}l5 5-5 5-5-5z` }));
  if (lane.place !== null && round.coordinator === lane.name) {
    parts.push(...coordinator(box.x + 10, box.y + BAR / 2));
  }
  return parts;
}

function dropped(box: IBox, why: string, trans: Trans): (SVGElement | null)[] {
  const word = trans.__('dropped');
  return [
    bar('t-drop', box.x, box.y, box.width, `${word}: ${why}`),
    box.width > 64
      ? svg('text', { class: 'ink word', x: box.x + box.width - 6, y: box.y + 12, 'text-anchor': 'end' }, word)
      : null
  ];
}

/** A lane in the round under way: from the last commit to now, as far as it is told. */
function under(lane: ILane, shown: ILanes, box: IBox): (SVGElement | null)[] {
  if (lane.place === null || shown.live === null || box.width <= 0) {
    return [];
  }
  const { detail } = shown;
  const said: NodePhase | undefined = detail.now[lane.name];
  if (lane.name in detail.lost || lane.name in detail.failed) {
    const cross = icon('lost', 'is-bad');
    setAttributes(cross, { x: box.x, y: box.y + 1, width: 14, height: 14 });
    return [cross];
  }
  if (!said || said.phase.startsWith('FINISHED')) {
    return [];
  }
  const begin = detail.rounds.length ? detail.rounds[detail.rounds.length - 1].time : detail.created;
  const usual = Math.max(detail.round_seconds ?? 0, shown.now - begin, 0.001);
  const x = (time: number): number => Math.max(0, Math.min(1, (time - begin) / usual)) * (box.width - 10);
  const [since, now] = [x(said.since), x(shown.now)];
  if (said.phase === 'TRAINING') {
    return [bar('t-train', box.x, box.y, now, '')];
  }
  const waits_ = said.phase !== 'EXCHANGING' && said.phase !== 'MERGED';
  return [
    bar('t-train', box.x, box.y, since, ''),
    waits_ ? waits(box.x + since, box.y, now - since, said.reason) : bar('t-exch', box.x + since, box.y, now - since, '')
  ];
}

function bar(kind: string, x: number, y: number, width: number, tip: string, height = BAR - 1): SVGElement | null {
  if (width < 0.5) {
    return null;
  }
  const title = tip ? svg('title', {}, tip) : null;
  const at = { class: kind, x: x.toFixed(1), y: y + 0.5, width: Math.max(1, width - 1).toFixed(1), height, rx: 1 };
  return svg('rect', at, title);
}

function waits(x: number, y: number, width: number, tip: string): SVGElement | null {
  return bar('t-wait', x + 1, y + 4, width - 1, tip, 7);
}

function coordinator(x: number, y: number): SVGElement[] {
  return [
    svg('circle', { class: 't-coord', cx: x, cy: y, r: 6 }),
    svg('text', { class: 'tagt', x, y: y + 3.5, 'text-anchor': 'middle' }, 'C')
  ];
}

function name(lane: ILane, y: number, height: number, left: number): SVGElement[] {
  const middle = y + height / 2;
  const text = svg('text', { class: 'ink', x: lane.place === null ? 0 : 24, y: middle + 4 }, cut(lane.name, left));
  if (lane.place === null) {
    return [text];
  }
  const { color, dash } = lineStyle(lane.place);
  const line = svg('line', { x1: 0, x2: 16, y1: middle, y2: middle, 'stroke-width': 3, 'stroke-dasharray': dash || null });
  line.style.stroke = color;
  return [line, text];
}

function cut(text: string, left: number): string {
  const most = Math.floor((left - 28) / 6);
  return text.length > most ? `${text.slice(0, most - 1)}…` : text;
}

function selection(x: number, width: number, height: number): SVGElement {
  return svg('rect', { class: 'sel', x, y: 0, width, height });
}

function fill(target: SVGSVGElement, width: number, height: number, parts: (SVGElement | null)[]): void {
  setAttributes(target, { width, height, viewBox: `0 0 ${width} ${height}` });
  target.replaceChildren(...parts.filter(part => part !== null));
}
