/** The nodes of a training or a swarm as a table: state, batches, loss and metric, load, and what is worth a note. */
import type { NodeInfo, SwarmInfo, TrainingDetail } from '../api';
import { bytes, decimal, NONE, percent } from '../format';
import { nodeLook } from '../states';
import { english, type Trans } from '../words';
import { el, stateOf, swatch } from './dom';
import { placesOf } from './places';
import type { Selection } from './selection';
import { batchesOf, standingOf } from './standing';
import { type Cell, type Column, WindowedTable } from './table';

const SEEN = 12;

export interface INodes {
  swarm: SwarmInfo | null;
  training: TrainingDetail | null;
}

export class NodeTable {
  readonly node: HTMLElement;

  constructor(host: HTMLElement, selection: Selection, trans: Trans = english) {
    this._selection = selection;
    this._trans = trans;
    this._table = new WindowedTable(trans.__('Nodes'), SEEN, key => selection.toggleNode(key));
    this.node = el('div', 'swl-Nodes', {}, this._table.node);
    this._end = selection.subscribe(() => this._draw());
    host.append(this.node);
  }

  update(shown: INodes): void {
    this._shown = shown;
    this._draw();
  }

  dispose(): void {
    this._end();
    this.node.remove();
  }

  private _draw(): void {
    const { swarm, training } = this._shown;
    const infos = new Map((swarm?.nodes ?? []).filter(node => node.kind === 'sl').map(node => [node.name, node]));
    const names = [...new Set([...infos.keys(), ...(training?.nodes ?? [])])];
    const places = placesOf(training, swarm);
    const loads = [...infos.values()].some(info => info.load !== null);
    this._table.update(this._columns(loads, training !== null), {
      count: names.length,
      key: row => names[row],
      selected: row => names[row] === this._selection.node,
      cells: row => {
        const name = names[row];
        const place = places.get(name) ?? row;
        return [
          { id: `${name} ${place}`, make: () => el('span', 'swl-Name', {}, swatch(place), name) },
          ...this._cells(name, infos.get(name) ?? null, loads)
        ];
      }
    });
  }

  private _columns(loads: boolean, trains: boolean): Column[] {
    const { _trans: trans } = this;
    const right = (titles: string[]): Column[] => titles.map(title => ({ title, right: true }));
    return [
      { title: trans.__('Node') },
      { title: trans.__('State') },
      ...(trains ? right([trans.__('Batches'), trans.__('Loss'), trans.__('Metric')]) : []),
      ...(loads ? right([trans.__('CPU'), trans.__('Memory'), trans.__('GPU')]) : []),
      { title: trans.__('Note'), className: 'note' }
    ];
  }

  private _cells(name: string, info: NodeInfo | null, loads: boolean): Cell[] {
    const { training } = this._shown;
    const standing = training?.nodes.includes(name) ? standingOf(training, name, this._trans) : null;
    const look = standing?.look ?? (info ? nodeLook(info, null) : null);
    const state: Cell = look ? { id: look.word, make: () => stateOf(look, this._trans) } : NONE;
    const judged = training?.metrics[name];
    const batches = training ? batchesOf(training, name) : null;
    const numbers = training
      ? [batches === null ? NONE : String(batches), decimal(judged?.loss ?? judged?.local_loss), decimal(judged?.metric ?? judged?.local_metric)]
      : [];
    const load = info?.load ?? null;
    return [
      state,
      ...numbers,
      ...(loads ? [percent(load?.cpu), bytes(load?.memory), percent(load?.gpu)] : []),
      standing?.note ?? info?.message ?? ''
    ];
  }

  private _selection: Selection;
  private _trans: Trans;
  private _shown: INodes = { swarm: null, training: null };
  private _table: WindowedTable;
  private _end: () => void;
}
