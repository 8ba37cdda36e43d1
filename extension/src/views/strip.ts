/** All rounds in one strip, however many: a slider that chooses the round which all views look at. */
import type { Round } from '../api';
import type { Trans } from '../words';
import { setAttributes, svg } from './dom';
import type { Selection } from './selection';
import { roundTicks } from './ticks';

const TOP = 10;
const CELL = 12;
const HEIGHT = 52;
const LEAST = 3; // pixels of a bar, its gap included

export interface IStrip {
  rounds: Round[];
  /** The highest number that has a place: planned or under way. */
  total: number;
  /** The round under way; null when the training is over. */
  live: number | null;
  /** First and last round of the lanes below. */
  from: number;
  to: number;
  left: number;
  width: number;
}

export class Strip {
  readonly node: SVGSVGElement;

  constructor(selection: Selection, trans: Trans) {
    this._selection = selection;
    this._trans = trans;
    this._hit = svg('rect', { class: 'hit', y: 0, height: HEIGHT });
    this._slider = svg('g', { role: 'slider', tabindex: 0, 'aria-label': trans.__('Round') }, this._hit, this._thumb);
    const bars = [this._todo, this._done, this._bad, this._now];
    this.node = svg('svg', { class: 'swl-Strip', height: HEIGHT }, this._title, ...bars, this._brush, this._slider, this._ticks);
    this._slider.addEventListener('keydown', event => this._key(event as KeyboardEvent));
    this._slider.addEventListener('pointerdown', event => this._grab(event as PointerEvent));
    this._slider.addEventListener('pointermove', event => {
      if (this._slider.hasPointerCapture?.((event as PointerEvent).pointerId)) {
        this._point(event as PointerEvent);
      }
    });
  }

  update(shown: IStrip): void {
    this._shown = shown;
    const { rounds, total, live, left, width } = shown;
    const key = [rounds.length, rounds.at(-1)?.digest, total, live, left, width].join(' ');
    if (key !== this._drawn) {
      this._drawn = key;
      this._bars();
    }
    this._frame();
  }

  private _bars(): void {
    const { rounds, total, live, left, width } = this._shown;
    setAttributes(this.node, { width, viewBox: `0 0 ${width} ${HEIGHT}` });
    this._title.textContent = this._trans._n('%1 round', 'All %1 rounds', total);
    const size = this._size;
    const paths = { done: '', bad: '', now: '', todo: '' };
    // Several rounds share a bar where one would be thinner than can be seen; one that lost a node makes it red.
    const step = Math.max(1, Math.ceil(LEAST / size));
    const gap = size * step >= 6 ? 2 : 1;
    let next = 0;
    for (let first = 1; first <= total; first += step) {
      const last = Math.min(total, first + step - 1);
      let kind: keyof typeof paths = 'todo';
      for (; next < rounds.length && rounds[next].round <= last; next++) {
        kind = kind === 'bad' || lostSome(rounds[next]) ? 'bad' : 'done';
      }
      if (kind !== 'bad' && live !== null && live >= first && live <= last) {
        kind = 'now';
      }
      const x = left + (first - 1) * size + gap / 2;
      const wide = Math.max(1, (last - first + 1) * size - gap);
      const tall = kind === 'bad' ? CELL + 4 : CELL;
      paths[kind] += `M${x.toFixed(1)} ${TOP - (tall - CELL) / 2}h${wide.toFixed(1)}v${tall}h-${wide.toFixed(1)}z`;
    }
    this._done.setAttribute('d', paths.done);
    this._bad.setAttribute('d', paths.bad);
    this._now.setAttribute('d', paths.now);
    this._todo.setAttribute('d', paths.todo);
    const marks = roundTicks(1, total, size * (total - 1), 56);
    this._ticks.replaceChildren(
      ...marks.map(mark => svg('text', { x: left + (mark - 0.5) * size, y: 47, 'text-anchor': 'middle' }, String(mark)))
    );
  }

  focus(): void {
    this._slider.focus();
  }

  private get _size(): number {
    return (this._shown.width - this._shown.left - 12) / Math.max(1, this._shown.total);
  }

  private get _last(): number {
    return this._shown.live ?? this._shown.total;
  }

  /** Brush, thumb, numbers, and what the slider says. */
  private _frame(): void {
    const { left, from, to, width } = this._shown;
    const size = this._size;
    const x = (round: number): number => left + (round - 0.5) * size;
    const round = this._selection.round ?? this._last;
    setAttributes(this._hit, { x: left, width: Math.max(0, width - left) });
    setAttributes(this._brush, { x: left + (from - 1) * size - 0.5, y: 4.5, width: (to - from + 1) * size + 1, height: 23, rx: 2 });
    setAttributes(this._thumb, { cx: x(round), cy: 28, r: 6 });
    setAttributes(this._slider, {
      'aria-valuemin': 1,
      'aria-valuemax': Math.max(1, this._last),
      'aria-valuenow': round,
      'aria-valuetext': this.say(round)
    });
  }

  /** "Round 16, committed, 3 of 4 nodes, sl-3 dropped". */
  say(number: number): string {
    const trans = this._trans;
    const round = roundOf(this._shown.rounds, number);
    if (!round) {
      return trans.__('Round %1, under way', number);
    }
    const out = Object.keys(round.left_out);
    const count = trans.__('%1 of %2 nodes', round.nodes.length, round.nodes.length + out.length);
    return out.length
      ? trans.__('Round %1, committed, %2, %3 dropped', number, count, out.join(', '))
      : trans.__('Round %1, committed, %2', number, count);
  }

  private _key(event: KeyboardEvent): void {
    const last = this._last;
    const now = this._selection.round ?? last;
    const moves: Record<string, number> = {
      ArrowLeft: now - 1,
      ArrowDown: now - 1,
      ArrowRight: now + 1,
      ArrowUp: now + 1,
      PageDown: now - 10,
      PageUp: now + 10,
      Home: 1,
      End: last
    };
    if (event.key in moves) {
      this._go(moves[event.key]);
    } else if (event.key === 'Escape') {
      this._selection.select({ round: null });
    } else {
      return;
    }
    event.preventDefault();
    event.stopPropagation();
  }

  /** The newest round is followed, not held. */
  private _go(round: number): void {
    const to = Math.max(1, Math.min(this._last, round));
    this._selection.select({ round: to === this._last && this._shown.live !== null ? null : to });
  }

  private _grab(event: PointerEvent): void {
    this._slider.setPointerCapture?.(event.pointerId);
    this._point(event);
  }

  private _point(event: PointerEvent): void {
    const at = event.clientX - this.node.getBoundingClientRect().left - this._shown.left;
    this._go(Math.ceil(at / this._size));
  }

  private _selection: Selection;
  private _trans: Trans;
  private _shown: IStrip = { rounds: [], total: 0, live: null, from: 1, to: 1, left: 0, width: 0 };
  private _drawn = '';
  private _title = svg('text', { class: 'ink', x: 0, y: 20 });
  private _done = svg('path', { class: 'done' });
  private _bad = svg('path', { class: 'bad' });
  private _now = svg('path', { class: 'now' });
  private _todo = svg('path', { class: 'todo' });
  private _brush = svg('rect', { class: 'brush' });
  private _thumb = svg('circle', { class: 'thumb' });
  private _ticks = svg('g', { 'aria-hidden': 'true' });
  private _hit: SVGRectElement;
  private _slider: SVGGElement;
}

/** Whether a round went without a node of the training. */
export function lostSome(round: Round): boolean {
  for (const _node in round.left_out) {
    return true;
  }
  return false;
}

/** The round of that number: they are in order, mostly without a gap. */
export function roundOf(rounds: Round[], number: number): Round | undefined {
  const guess = rounds[number - 1];
  return guess?.round === number ? guess : rounds.find(round => round.round === number);
}
