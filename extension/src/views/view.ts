/** A training in a cell: progress, curves, nodes, rounds, what programs said. The same in JupyterLab, Notebook and VS Code. */
import type { TrainingDetail } from '../api';
import { isOver } from '../training';
import { english, type Trans } from '../words';
import { LineChart } from './chart';
import { button, el, icon, setText } from './dom';
import { TrainingHead, whereIt } from './head';
import { NodeTable } from './nodes';
import { ProgramSays } from './output';
import type { Selection } from './selection';
import { Timeline } from './timeline';

export interface IActions {
  /** Show it in a tab of its own. */
  open?(): void;
  stop?(): void;
}

export class TrainingView {
  readonly node: HTMLElement;

  constructor(host: HTMLElement, selection: Selection, trans: Trans = english, actions: IActions = {}) {
    this._trans = trans;
    this._head = new TrainingHead('swl-Card-head', trans);
    this.actions = actions;
    this._charts = el('div', 'swl-Split');
    const table = el('div', 'swl-Card-part');
    const rounds = el('div', 'swl-Card-part');
    this._says = new ProgramSays(trans);
    this._stale = el('span', 'swl-Chip is-warn', { hidden: true }, icon('clock'), this._staleText);
    this._head.tools.before(this._stale);
    this.node = el('section', 'swl-View swl-Card', {}, this._head.node, this._charts, table, this._says.node, rounds);
    host.append(this.node);
    this._loss = new LineChart(this._charts, { title: trans.__('Loss'), which: 'loss' }, selection, trans);
    this._metric = new LineChart(this._charts, { title: trans.__('Metric'), which: 'metric' }, selection, trans);
    this._nodes = new NodeTable(table, selection, trans);
    this._timeline = new Timeline(rounds, selection, trans, { compact: true });
  }

  /** Which buttons there are; without a server to ask there is none. */
  set actions(actions: IActions) {
    const { open, stop } = actions;
    this._stop = stop ? button('stop', this._trans.__('Stop…'), stop, { word: true }) : null;
    const opens = open ? button('open', this._trans.__('Open'), open, { word: true }) : null;
    this._head.tools.replaceChildren(...[opens, this._stop].filter(made => made !== null));
    if (this._detail) {
      this.update(this._detail);
    }
  }

  update(detail: TrainingDetail): void {
    this._detail = detail;
    this.node.setAttribute('aria-label', this._trans.__('Training %1', detail.id));
    this._head.update(detail, whereIt(detail, this._trans), Date.now() / 1000);
    if (this._stop) {
      this._stop.hidden = isOver(detail);
      this._stop.disabled = detail.stopping;
    }
    const measured = detail.measures.length > 0;
    const metric = detail.measures.some(one => one.metric !== null || one.local_metric !== null);
    this._metric.node.hidden = measured && !metric;
    this._charts.classList.toggle('is-only', measured && !metric);
    this._loss.update(detail);
    this._metric.update(detail);
    this._nodes.update({ swarm: null, training: detail });
    this._says.update(detail);
    this._timeline.update(detail);
  }

  /** Nothing was heard since then, in unix seconds; null: all is well. */
  stale(since: number | null): void {
    this._stale.hidden = since === null;
    this.node.classList.toggle('is-stale', since !== null);
    if (since !== null) {
      const clock = new Date(since * 1000).toLocaleTimeString();
      setText(this._staleText, this._trans.__('last heard at %1', clock));
    }
  }

  dispose(): void {
    [this._loss, this._metric, this._nodes, this._timeline].forEach(view => view.dispose());
    this.node.remove();
  }

  private _trans: Trans;
  private _detail: TrainingDetail | null = null;
  private _head: TrainingHead;
  private _charts: HTMLElement;
  private _loss: LineChart;
  private _metric: LineChart;
  private _nodes: NodeTable;
  private _timeline: Timeline;
  private _says: ProgramSays;
  private _stop: HTMLButtonElement | null = null;
  private _stale: HTMLElement;
  private _staleText = el('span');
}
