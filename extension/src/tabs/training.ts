/** The tab of a training in the main area: topology, curves, rounds to scrub through, and the node that is chosen. */
import type { CommandRegistry } from '@lumino/commands';
import { Widget } from '@lumino/widgets';
import type { SwarmInfo, TrainingDetail } from '../api';
import { CommandIDs } from '../commands';
import { TrainingFeed } from '../feed';
import { moment } from '../format';
import { labIcon } from '../labIcons';
import type { ISwarmModel } from '../tokens';
import { isOver } from '../training';
import {
  LineChart,
  NodeTable,
  placesOf,
  ProgramSays,
  type Selection,
  Timeline,
  Topology,
  TrainingHead
} from '../views';
import { button, el, icon, setText } from '../views/dom';
import type { Trans } from '../words';
import { NodePane } from './nodePane';
import { selectionOf } from './selections';

export interface ITrainingOf {
  swarm: string;
  training: string;
}

export class TrainingTab extends Widget {
  constructor(
    private readonly _model: ISwarmModel,
    readonly of: ITrainingOf,
    private readonly _trans: Trans,
    private readonly _commands: CommandRegistry
  ) {
    super();
    const { swarm, training } = of;
    this.addClass('swl-Tab');
    this.title.label = _trans.__('%1 of %2', training, swarm);
    this.title.caption = _trans.__('Training %1 of the swarm %2', training, swarm);
    this.title.icon = labIcon('swarm');
    this.title.closable = true;
    this._selection = selectionOf(_model, swarm);
    this._head = new TrainingHead('swl-MainBar', _trans);
    this._buttons();
    this._build();
    this._feed = new TrainingFeed(_model, swarm, training, _trans);
    this._feed.loaded = () => this._draw();
    this._unsubscribe = this._selection.subscribe(() => this._choose());
    _model.changed.connect(this._draw, this);
    this._choose();
    this._draw();
  }

  dispose(): void {
    if (!this.isDisposed) {
      this._model.changed.disconnect(this._draw, this);
      this._feed.dispose();
      this._unsubscribe();
      this._pane?.dispose();
      [this._topology, this._loss, this._metric, this._timeline, this._table].forEach(view => view.dispose());
      super.dispose();
    }
  }

  protected onAfterShow(): void {
    this._draw();
  }

  protected onActivateRequest(): void {
    this.node.focus();
  }

  private _buttons(): void {
    const { _trans: trans } = this;
    const args = { ...this.of };
    const act = (name: Parameters<typeof button>[0], label: string, command: string): HTMLButtonElement => {
      const made = button(name, label, () => void this._commands.execute(command, args), { word: true });
      made.hidden = !this._commands.hasCommand(command);
      return made;
    };
    this._stop = act('stop', trans.__('Stop…'), CommandIDs.stopTraining);
    this._head.tools.append(
      act('notebook', trans.__('Open as notebook'), CommandIDs.openTrainingNotebook),
      act('doctor', trans.__('Doctor'), CommandIDs.runDoctor),
      this._stop
    );
    this._head.tools.before(this._stale);
  }

  private _build(): void {
    const { _trans: trans, _selection: selection } = this;
    this.node.tabIndex = -1;
    const upper = el('div', 'swl-Tab-upper');
    const curves = el('div', 'swl-Tab-curves');
    const left = el('div', 'swl-Tab-main', {}, upper, this._nodes);
    this._topology = new Topology(upper, selection, trans);
    upper.append(curves);
    this._loss = new LineChart(curves, { title: trans.__('Loss'), which: 'loss', height: 150, modes: true }, selection, trans);
    this._metric = new LineChart(curves, { title: trans.__('Metric'), which: 'metric', height: 150, modes: true }, selection, trans);
    this._says = new ProgramSays(trans);
    this._timeline = new Timeline(left, selection, trans);
    this._nodes.after(this._says.node);
    left.append(this._nodes);
    this._table = new NodeTable(this._nodes, selection, trans);
    this._body.append(left);
    this.node.append(this._head.node, this._notice, this._body);
  }

  private _draw(): void {
    if (this.isAttached && !this.isVisible) {
      return;
    }
    const { detail, failure } = this._feed;
    const swarm = this._model.swarm(this.of.swarm);
    this._link();
    this._notice.hidden = detail !== null;
    this._body.hidden = detail === null;
    this._head.node.hidden = detail === null;
    if (failure && !detail) {
      this._notice.replaceChildren(
        el('div', 'swl-Message is-bad', { role: 'alert' }, icon('failed'), el('h4', '', {}, failure.message), el('p', '', {}, failure.next))
      );
    } else if (!detail) {
      const bars = ['32%', '64%', '48%'].map(width => el('span', 'swl-Skeleton', { style: `width: ${width}` }));
      this._notice.replaceChildren(el('div', 'swl-Tab-loading', { 'aria-busy': true, 'aria-label': this._trans.__('Loading') }, ...bars));
    } else {
      this._show(detail, swarm);
    }
  }

  private _show(detail: TrainingDetail, swarm: SwarmInfo | null): void {
    const info = swarm?.trainings.find(one => one.id === detail.id);
    const whole = info ? { ...detail, rounds_planned: info.rounds_planned, eta_s: info.eta_s } : detail;
    const places = placesOf(detail, swarm);
    this._head.update(whole, this._about(detail), Date.now() / 1000);
    this._stop.hidden = isOver(detail);
    this._stop.disabled = detail.stopping;
    this._topology.node.hidden = swarm === null;
    if (swarm) {
      this._topology.update({ swarm, training: detail });
    }
    this._loss.update(detail, places);
    this._metric.update(detail, places);
    this._metric.node.hidden = detail.measures.length > 0 && !detail.measures.some(one => one.metric !== null || one.local_metric !== null);
    this._timeline.update(whole, places);
    this._says.update(detail);
    this._table.update({ swarm, training: detail });
    this._pane?.update(swarm, detail);
  }

  /** "retina, mean, sync every 16 batches, at least 3 nodes". */
  private _about(detail: TrainingDetail): string {
    const { _trans: trans } = this;
    const pace = detail.adaptive
      ? trans.__('sync every %1 batches, adaptive', detail.sync)
      : trans.__('sync every %1 batches', detail.sync);
    const least = trans._n('at least %1 node', 'at least %1 nodes', detail.min_peers);
    return [this.of.swarm, detail.merge, pace, least].join(' · ');
  }

  private _link(): void {
    const { link, heard } = this._model;
    const stale = link === 'stale' || link === 'lost';
    this._stale.hidden = !stale;
    this._body.classList.toggle('is-stale', stale);
    if (stale) {
      const since = moment(heard, Date.now() / 1000, span => this._trans.__('%1 ago', span));
      setText(this._staleText, this._trans.__('last heard %1', since));
    }
  }

  /** The pane of the chosen node beside the rest; closing it gives the focus back. */
  private _choose(): void {
    const { node } = this._selection;
    if (node === this._paneOf) {
      return;
    }
    const back = document.activeElement as HTMLElement | null;
    this._pane?.dispose();
    this._pane = null;
    this._paneOf = node;
    this._body.classList.toggle('has-pane', node !== null);
    if (node !== null) {
      const close = (): void => {
        this._selection.select({ node: null });
        back?.focus();
      };
      const { swarm } = this.of;
      const given = { model: this._model, swarm, node, trans: this._trans, commands: this._commands, close };
      this._pane = new NodePane(this._body, given);
      this._pane.update(this._model.swarm(swarm), this._feed?.detail ?? null);
    }
  }

  private _selection: Selection;
  private _feed: TrainingFeed;
  private _unsubscribe: () => void;
  private _head: TrainingHead;
  private _stop!: HTMLButtonElement;
  private _topology!: Topology;
  private _loss!: LineChart;
  private _metric!: LineChart;
  private _timeline!: Timeline;
  private _table!: NodeTable;
  private _says!: ProgramSays;
  private _pane: NodePane | null = null;
  private _paneOf: string | null = null;
  private _nodes = el('div', 'swl-Card-part');
  private _body = el('div', 'swl-Tab-body', { hidden: true });
  private _notice = el('div', 'swl-Tab-notice');
  private _staleText = el('span');
  private _stale = el('span', 'swl-Chip is-warn', { hidden: true }, icon('clock'), this._staleText);
}

export function trainingTabId({ swarm, training }: ITrainingOf): string {
  return `swarm-lab-training-${swarm}-${training}`;
}
