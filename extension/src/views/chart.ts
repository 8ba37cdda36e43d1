/** Loss or metric by round: a line a node and the merged model in ink, or the nodes' range where they are many. */
import uPlot from 'uplot';
import type { TrainingDetail } from '../api';
import { decimal } from '../format';
import { lineStyle } from '../states';
import { english, type Trans } from '../words';
import { type Columns, Curves, type Which } from './curves';
import { button, el, onResize, setText, widthOf } from './dom';
import { Figure } from './figure';
import { type Label, labelsAt } from './labels';
import { LINES_APART, placesOf } from './places';
import type { Selection } from './selection';
import { type Column, WindowedTable } from './table';
import { Colours, onTheme } from './theme';
import { niceTicks, roundTicks, tickTexts } from './ticks';

export interface IChartOptions {
  title: string;
  which: Which;
  /** Of the drawing, in pixels. */
  height?: number;
  /** Offer the choice between a line a node and the nodes' range. */
  modes?: boolean;
}

const DASHES: Record<string, number[]> = { '': [], '6 3': [6, 3], '2 2': [2, 2] };
const LABELS = 84;

export class LineChart {
  readonly node: HTMLElement;

  constructor(host: HTMLElement, options: IChartOptions, selection: Selection, trans: Trans = english) {
    this._options = options;
    this._selection = selection;
    this._trans = trans;
    this._curves = new Curves(options.which);
    this._table = new WindowedTable(options.title, 8, key => selection.select({ round: Number(key) }));
    this._figure = new Figure(options.title, this._table.node, () => this._draw(), trans);
    this._nodesButton = this._mode(trans.__('Nodes'), false);
    this._rangeButton = this._mode(trans.__('Range'), true);
    const segment = el('span', 'swl-Segment', { role: 'group', 'aria-label': trans.__('Show') });
    segment.append(this._nodesButton, this._rangeButton);
    this._figure.tools.append(segment);
    this.node = this._figure.node;
    this._plot = el('div', 'swl-Chart', { role: 'img', tabindex: 0 });
    this._plot.style.height = `${this._height}px`;
    this._plot.addEventListener('keydown', event => this._key(event));
    this._plot.append(this._empty, this._labels);
    this._figure.body.append(this._plot);
    host.append(this.node);
    this._colours = new Colours(this.node);
    this._ends = [
      selection.subscribe(() => this._draw()),
      onTheme(() => this._rebuild()),
      onResize(this._plot, () => this._rebuild())
    ];
  }

  /** `places`: the line of each node, if it is not that of its place in the training. */
  update(detail: TrainingDetail, places: Map<string, number> = placesOf(detail)): void {
    this._columns = this._curves.update(detail);
    this._places = places;
    this._alone = detail.nodes.length === 1;
    this._lost = new Set([...Object.keys(detail.lost), ...Object.keys(detail.failed)]);
    this._draw();
  }

  dispose(): void {
    this._ends.forEach(end => end());
    this._uplot?.destroy();
    this.node.remove();
  }

  private get _height(): number {
    return this._options.height ?? 124;
  }

  private get _band(): boolean {
    return this._ranged || this._columns.nodes.size > LINES_APART;
  }

  /** The nodes whose lines are drawn, in the order of the roster. */
  private get _lines(): string[] {
    const { nodes } = this._columns;
    const known = [...nodes.keys()].filter(name => nodes.get(name)!.some(value => value !== null));
    const ordered = known.sort((a, b) => (this._places.get(a) ?? 0) - (this._places.get(b) ?? 0));
    return this._band ? ordered.filter(name => name === this._selection.node) : ordered;
  }

  private _draw(): void {
    const { rounds, merged, nodes } = this._columns;
    const known = merged.some(value => value !== null) || this._lines.length > 0 || this._band;
    const empty = rounds.length === 0 || !known;
    this._figure.empty = empty;
    this._empty.hidden = !empty;
    this._say();
    this._nodesButton.parentElement!.hidden = !this._options.modes || nodes.size < 2 || nodes.size > LINES_APART;
    for (const [made, on] of [[this._nodesButton, !this._ranged], [this._rangeButton, this._ranged]] as const) {
      made.setAttribute('aria-pressed', String(on));
      made.classList.toggle('is-on', on);
    }
    if (empty) {
      setText(this._empty, this._alone ? this._trans.__('Nothing to merge with yet.') : this._trans.__('No round yet.'));
      this._labels.replaceChildren();
      this._drop();
    } else if (this._figure.asTable) {
      this._tabulate();
    } else {
      this._paint();
    }
  }

  /** The sentence that stands for the drawing, and the number beside the title. */
  private _say(): void {
    const { rounds, merged } = this._columns;
    const trans = this._trans;
    const chosen = this._selection.round === null ? -1 : rounds.indexOf(this._selection.round);
    const at = chosen >= 0 ? chosen : merged.findLastIndex(value => value !== null);
    const value = at >= 0 ? decimal(merged[at]) : '';
    let note = value ? trans.__('merged %1', value) : '';
    if (chosen >= 0) {
      note = trans.__('merged %1 in round %2', value, rounds[at]);
    }
    this._figure.note = note;
    const last = rounds.length ? rounds[rounds.length - 1] : 0;
    this._plot.setAttribute(
      'aria-label',
      at >= 0
        ? trans.__('%1 over %2 rounds; of the merged model %3 in round %4', this._options.title, last, value, rounds[at])
        : trans.__('%1: no round yet', this._options.title)
    );
  }

  private _tabulate(): void {
    const { rounds, merged, nodes, low, high } = this._columns;
    const trans = this._trans;
    const lines = this._lines;
    const columns: Column[] = [
      { title: trans.__('Round') },
      ...(this._band ? [trans.__('Lowest'), trans.__('Highest')] : []).map(title => ({ title, right: true })),
      ...lines.map(title => ({ title, right: true })),
      { title: trans.__('Merged'), right: true, className: 'swl-b' }
    ];
    const at = (row: number): number => rounds.length - 1 - row;
    this._table.update(columns, {
      count: rounds.length,
      key: row => String(rounds[at(row)]),
      selected: row => rounds[at(row)] === this._selection.round,
      cells: row => [
        String(rounds[at(row)]),
        ...(this._band ? [low, high] : []).map(column => decimal(column[at(row)])),
        ...lines.map(name => decimal(nodes.get(name)![at(row)])),
        decimal(merged[at(row)])
      ]
    });
  }

  private _paint(): void {
    const lines = this._lines;
    const key = `${this._band}\n${lines.map(name => `${name}:${this._places.get(name)}`).join('\n')}`;
    if (!this._uplot || key !== this._key_) {
      this._key_ = key;
      this._drop();
      this._uplot = new uPlot(this._config(lines), this._data(lines), this._plot);
    } else {
      this._uplot.setData(this._data(lines));
    }
  }

  private _data(lines: string[]): uPlot.AlignedData {
    const { rounds, merged, nodes, low, high } = this._columns;
    return [rounds, ...(this._band ? [high, low] : []), ...lines.map(name => nodes.get(name)!), merged];
  }

  private _config(lines: string[]): uPlot.Options {
    const colour = (name: string): string => this._colours.get(`--swl-${name}`);
    const font = `11px ${getComputedStyle(this._plot).fontFamily}`;
    const axis = { stroke: colour('ink-2'), font, ticks: { show: false }, labelSize: 0 };
    const edge = { stroke: 'transparent', points: { show: false } };
    return {
      width: (this._width = widthOf(this._plot, this._width)),
      height: this._height,
      padding: [8, LABELS, 0, 0],
      legend: { show: false },
      cursor: { y: false, points: { show: false }, drag: { x: false, y: false } },
      scales: {
        x: { time: false, range: (_plot, low, high) => [low, Math.max(high, low + 1)] },
        y: { range: (_plot, low, high) => ends(niceTicks(low, high)) }
      },
      axes: [
        {
          ...axis,
          grid: { show: false },
          size: 20,
          gap: 4,
          border: { show: true, stroke: colour('axis'), width: 1 },
          splits: (plot, _axis, low, high) => roundTicks(low, high, plot.bbox.width / devicePixelRatio, 48),
          values: (_plot, splits) => splits.map((at, place) => (place ? String(at) : this._trans.__('round %1', at)))
        },
        {
          ...axis,
          grid: { stroke: colour('rule'), width: 1 },
          size: 44,
          gap: 8,
          splits: (_plot, _axis, low, high) => niceTicks(low, high),
          values: (_plot, splits) => tickTexts(splits)
        }
      ],
      bands: this._band ? [{ series: [1, 2], fill: colour('band') }] : [],
      series: [
        {},
        ...(this._band ? [edge, edge] : []),
        ...lines.map(name => {
          const { dash } = lineStyle(this._places.get(name) ?? 0);
          return { stroke: colour(`line-${((this._places.get(name) ?? 0) % 4) + 1}`), width: 1.5, dash: DASHES[dash], points: ALONE };
        }),
        { stroke: colour('merged'), width: 2.5, points: ALONE }
      ],
      hooks: {
        draw: [plot => this._mark(plot)],
        ready: [plot => plot.over.addEventListener('click', () => this._pick(plot))]
      }
    };
  }

  /** On the finished drawing: the selected round, where lost nodes ended, and the names at the right ends. */
  private _mark(plot: uPlot): void {
    const { rounds, merged, nodes } = this._columns;
    const round = this._selection.round;
    const { ctx, bbox } = plot;
    if (round !== null && rounds.includes(round)) {
      const x = Math.round(plot.valToPos(round, 'x', true)) + 0.5;
      ctx.save();
      ctx.strokeStyle = this._colours.get('--swl-busy');
      ctx.lineWidth = devicePixelRatio;
      ctx.beginPath();
      ctx.moveTo(x, bbox.top);
      ctx.lineTo(x, bbox.top + bbox.height);
      ctx.stroke();
      ctx.restore();
    }
    const ends: Label[] = [];
    const label = (name: string, column: (number | null)[], place: number | null): void => {
      const last = column.findLastIndex(value => value !== null);
      if (last < 0) {
        return;
      }
      const y = plot.valToPos(column[last]!, 'y', true);
      const lost = place !== null && this._lost.has(name);
      if (lost) {
        this._cross(ctx, plot.valToPos(rounds[last], 'x', true), y);
      }
      const text = lost ? this._trans.__('%1 lost', name) : name;
      ends.push({ name, text, place, y: y / devicePixelRatio });
    };
    this._lines.forEach(name => label(name, nodes.get(name)!, this._places.get(name) ?? 0));
    label('', merged, null);
    const right = (bbox.left + bbox.width) / devicePixelRatio + 8;
    const texts = ends.map(one => (one.place === null ? { ...one, text: this._trans.__('merged') } : one));
    this._labels.replaceChildren(
      ...labelsAt(texts, right, (bbox.top + bbox.height) / devicePixelRatio, this._selection)
    );
  }

  private _cross(ctx: CanvasRenderingContext2D, x: number, y: number): void {
    const arm = 4 * devicePixelRatio;
    ctx.save();
    ctx.strokeStyle = this._colours.get('--swl-bad');
    ctx.lineWidth = 2 * devicePixelRatio;
    ctx.beginPath();
    ctx.moveTo(x - arm, y - arm);
    ctx.lineTo(x + arm, y + arm);
    ctx.moveTo(x + arm, y - arm);
    ctx.lineTo(x - arm, y + arm);
    ctx.stroke();
    ctx.restore();
  }

  private _pick(plot: uPlot): void {
    const at = plot.cursor.idx;
    if (typeof at === 'number') {
      this._selection.select({ round: this._columns.rounds[at] });
    }
  }

  private _key(event: KeyboardEvent): void {
    const { rounds } = this._columns;
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!rounds.length || (step === undefined && event.key !== 'Escape')) {
      return;
    }
    const now = this._selection.round === null ? rounds.length - 1 : rounds.indexOf(this._selection.round);
    const next = Math.max(0, Math.min(rounds.length - 1, now + (step ?? 0)));
    this._selection.select({ round: step === undefined ? null : rounds[next] });
    event.preventDefault();
    event.stopPropagation();
  }

  private _mode(word: string, ranged: boolean): HTMLButtonElement {
    const made = button('table', word, () => {
      this._ranged = ranged;
      this._draw();
    }, { word: true });
    made.replaceChildren(word);
    return made;
  }

  private _drop(): void {
    this._uplot?.destroy();
    this._uplot = null;
  }

  private _rebuild(): void {
    this._drop();
    this._draw();
  }

  /** While JupyterLab changes its theme, nothing has a width: the last one counts then. */
  private _width = 640;
  private _options: IChartOptions;
  private _selection: Selection;
  private _trans: Trans;
  private _curves: Curves;
  private _columns: Columns = { rounds: [], merged: [], nodes: new Map(), low: [], high: [] };
  private _places = new Map<string, number>();
  private _lost = new Set<string>();
  private _figure: Figure;
  private _table: WindowedTable;
  private _plot: HTMLElement;
  private _labels = el('div', 'swl-Chart-labels', { 'aria-hidden': 'true' });
  private _empty = el('p', 'swl-2 swl-Chart-empty');
  private _nodesButton: HTMLButtonElement;
  private _rangeButton: HTMLButtonElement;
  private _ranged = false;
  private _alone = false;
  private _colours: Colours;
  private _uplot: uPlot | null = null;
  private _key_ = '';
  private _ends: (() => void)[];
}

function ends(ticks: number[]): [number, number] {
  return [ticks[0], ticks[ticks.length - 1]];
}

/** Only points that no line joins to another are drawn as points. */
const ALONE: uPlot.Series.Points = {
  show: true,
  size: 5,
  filter: (plot, series) => {
    const values = plot.data[series];
    const alone: number[] = [];
    for (let at = 0; at < values.length; at++) {
      const joined = (values[at - 1] ?? null) !== null || (values[at + 1] ?? null) !== null;
      if (values[at] !== null && values[at] !== undefined && !joined) {
        alone.push(at);
      }
    }
    return alone;
  }
};
