/** The round timeline: a strip of all rounds to scrub through, and lanes of a few: who did what, digest, transaction. */
import type { TrainingDetail } from '../api';
import { isOver } from '../training';
import { english, type Trans } from '../words';
import { button, el, onResize, svg, widthOf } from './dom';
import { Figure } from './figure';
import { drawHead, drawLanes, drawLedger, type ILane, type ILanes } from './lanes';
import { legend } from './legend';
import { ensurePatterns } from './patterns';
import { placesOf } from './places';
import { RoundFoot } from './round';
import { roundTable } from './roundTable';
import type { Selection } from './selection';
import { Strip } from './strip';
import { WindowedTable } from './table';

const LANES_SEEN = 12;
const EXCEPTIONS_ABOVE = 40;
const ROUND_WIDTH = 124;

export interface ITimelineOptions {
  /** In a cell: lower lanes, digest and transaction of the chosen round alone. */
  compact?: boolean;
}

export class Timeline {
  readonly node: HTMLElement;

  constructor(host: HTMLElement, selection: Selection, trans: Trans = english, options: ITimelineOptions = {}) {
    ensurePatterns();
    this._selection = selection;
    this._trans = trans;
    this._compact = options.compact ?? false;
    this._strip = new Strip(selection, trans);
    this._table = new WindowedTable(trans.__('Rounds'), 10, key => selection.select({ round: Number(key) }));
    this._figure = new Figure(trans.__('Rounds'), this._table.node, () => this._draw(), trans);
    this._before = button('left', trans.__('Round before'), () => this._step(-1));
    this._next = button('right', trans.__('Next round'), () => this._step(1));
    this._toLive = button('fast', trans.__('Go to live'), () => selection.select({ round: null }), { word: true });
    this._dropped = button('filter', trans.__('Dropped first'), () => this._sort(), { word: true });
    this._dropped.setAttribute('aria-pressed', 'false');
    this._figure.tools.append(this._dropped, this._before, this._next, this._toLive);
    this._scroll.append(this._lanes);
    this._foot = new RoundFoot(trans);
    this._figure.body.append(this._empty, this._strip.node, this._head, this._scroll);
    if (!this._compact) {
      this._figure.body.append(this._ledger);
    }
    this.node = el('div', 'swl-Timeline', {}, this._figure.node, legend(trans), this._foot.node);
    this._scroll.addEventListener('scroll', () => this._drawLanes());
    this._scroll.addEventListener('click', event => this._click(event));
    this._ends = [selection.subscribe(() => this._draw()), onResize(this._figure.body, () => this._draw())];
    host.append(this.node);
  }

  /** `places`: the line of each node, if it is not that of its place in the training. */
  update(detail: TrainingDetail, places: Map<string, number> = placesOf(detail)): void {
    this._detail = detail;
    this._places = places;
    this._draw();
  }

  dispose(): void {
    this._ends.forEach(end => end());
    this.node.remove();
  }

  private get _live(): number | null {
    return this._detail && !isOver(this._detail) && this._detail.state === 'running' ? this._detail.round + 1 : null;
  }

  private get _total(): number {
    return Math.max(this._detail?.rounds_planned ?? 0, this._live ?? this._detail?.round ?? 0);
  }

  private _draw(): void {
    const detail = this._detail;
    if (!detail) {
      return;
    }
    const alone = detail.nodes.length === 1 && detail.round === 0;
    const none = alone || this._total === 0;
    this._figure.empty = none;
    this._empty.hidden = !none;
    for (const part of [this._strip.node, this._head, this._scroll, this._ledger]) {
      part.toggleAttribute('hidden', none);
    }
    this.node.classList.toggle('is-empty', none);
    this._empty.textContent = alone
      ? this._trans.__('%1 trains alone: there is nobody to merge with.', detail.nodes[0])
      : this._trans.__('No round yet.');
    this._say();
    if (none) {
      return;
    }
    if (this._figure.asTable) {
      roundTable(this._table, detail, this._selection, this._trans);
      return;
    }
    const shown = this._window(detail);
    this._shown = shown;
    const { from, to, left, width, live } = shown;
    this._strip.update({ rounds: detail.rounds, total: this._total, live, from, to, left, width });
    drawHead(this._head, shown, this._trans);
    this._scroll.style.maxHeight = `${LANES_SEEN * shown.laneHeight + 1}px`;
    this._drawLanes();
    if (!this._compact) {
      drawLedger(this._ledger, shown, this._trans);
    }
  }

  private _drawLanes(): void {
    if (this._shown) {
      const top = this._scroll.scrollTop;
      const height = this._scroll.clientHeight || LANES_SEEN * this._shown.laneHeight;
      this._lanes.setAttribute('aria-label', this._trans.__('Rounds %1 to %2', this._shown.from, this._shown.to));
      drawLanes(this._lanes, this._shown, this._trans, top, top + height);
    }
  }

  /** The rounds in sight: the newest ones, or such that the chosen one is among them and nothing moves needlessly. */
  private _window(detail: TrainingDetail): ILanes {
    const width = widthOf(this._figure.body);
    const left = width < 480 ? 80 : 92;
    const total = this._total;
    const count = Math.max(1, Math.min(total, Math.floor((width - left - 12) / ROUND_WIDTH), 12));
    const selected = this._selection.round;
    let from = this._shown?.from ?? 1;
    if (selected === null) {
      from = (this._live ?? detail.round) - count + 1;
    } else if (selected < from || selected >= from + count) {
      from = selected - Math.floor(count / 2);
    }
    from = Math.max(1, Math.min(from, total - count + 1));
    const lanes = this._laneList(detail, from, from + count - 1);
    const laneHeight = this._compact ? 20 : 28;
    const { node } = this._selection;
    const now = Date.now() / 1000;
    return { detail, lanes, from, to: from + count - 1, live: this._live, selected, node, left, width, laneHeight, now };
  }

  private _laneList(detail: TrainingDetail, from: number, to: number): ILane[] {
    const laneOf = (name: string): ILane => ({ name, place: this._places.get(name) ?? 0, nodes: [name] });
    const many = detail.nodes.length > EXCEPTIONS_ABOVE;
    this._dropped.hidden = many || detail.nodes.length <= 8;
    if (!many && !this._droppedFirst) {
      return detail.nodes.map(laneOf);
    }
    const odd = new Set([...Object.keys(detail.lost), ...Object.keys(detail.failed)]);
    const seen = detail.rounds.slice(Math.max(0, from - 1), to);
    seen.forEach(round => Object.keys(round.left_out).forEach(node => odd.add(node)));
    const first = detail.nodes.filter(node => odd.has(node) || (many && node === this._selection.node));
    const others = detail.nodes.filter(node => !first.includes(node));
    if (!many) {
      return [...first, ...others].map(laneOf);
    }
    const name = first.length
      ? this._trans._n('%1 other', '%1 others', others.length)
      : this._trans._n('%1 node', '%1 nodes', others.length);
    return [...first.map(laneOf), { name, place: null, nodes: others }];
  }

  private _say(): void {
    const { round } = this._selection;
    const detail = this._detail!;
    this._figure.note = round === null ? '' : this._trans.__('looking at round %1', round);
    this._toLive.hidden = round === null;
    const last = this._live ?? detail.round;
    this._toLive.lastChild!.textContent =
      this._live === null ? this._trans.__('Go to the last round') : this._trans.__('Go to live, round %1', last);
    this._before.disabled = (round ?? last) <= 1;
    this._next.disabled = round === null || round >= last;
    this._foot.update(detail, round ?? detail.round);
  }

  private _step(by: number): void {
    const last = this._live ?? this._detail!.round;
    const to = (this._selection.round ?? last) + by;
    this._selection.select({ round: to >= last && this._live !== null ? null : Math.max(1, Math.min(last, to)) });
  }

  private _sort(): void {
    this._droppedFirst = !this._droppedFirst;
    this._dropped.setAttribute('aria-pressed', String(this._droppedFirst));
    this._dropped.classList.toggle('is-on', this._droppedFirst);
    this._draw();
  }

  private _click(event: MouseEvent): void {
    const shown = this._shown;
    if (!shown) {
      return;
    }
    const box = this._lanes.getBoundingClientRect();
    const x = event.clientX - box.left - shown.left;
    const lane = shown.lanes[Math.floor((event.clientY - box.top) / shown.laneHeight)];
    if (x < 0) {
      if (lane && lane.place !== null) {
        this._selection.toggleNode(lane.name);
      }
      return;
    }
    const wide = (shown.width - shown.left - 12) / (shown.to - shown.from + 1);
    const round = Math.min(shown.to, shown.from + Math.floor(x / wide));
    this._selection.select({ round: round === shown.live ? null : round });
  }

  private _selection: Selection;
  private _trans: Trans;
  private _compact: boolean;
  private _detail: TrainingDetail | null = null;
  private _places = new Map<string, number>();
  private _shown: ILanes | null = null;
  private _droppedFirst = false;
  private _strip: Strip;
  private _figure: Figure;
  private _table: WindowedTable;
  private _foot: RoundFoot;
  private _empty = el('p', 'swl-2');
  private _head = svg('svg', { class: 'swl-Lanes', 'aria-hidden': 'true' });
  private _lanes = svg('svg', { class: 'swl-Lanes', role: 'img' });
  private _ledger = svg('svg', { class: 'swl-Lanes', 'aria-hidden': 'true' });
  private _scroll = el('div', 'swl-Lanes-scroll');
  private _before: HTMLButtonElement;
  private _next: HTMLButtonElement;
  private _toLive: HTMLButtonElement;
  private _dropped: HTMLButtonElement;
  private _ends: (() => void)[];
}
