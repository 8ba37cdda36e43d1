/** Loss or metric of a training by round, as columns for drawing; each update reads only what is new. */
import type { TrainingDetail } from '../api';
import { mean } from '../values';

export type Which = 'loss' | 'metric';

/** Rounds in order, and in each list a value or null for each of them. */
export interface Columns {
  rounds: number[];
  /** Mean over the nodes of the merged model of a round. */
  merged: (number | null)[];
  /** Of the nodes' own models just before that merge, where they measured any; else of the merged one on their data. */
  nodes: Map<string, (number | null)[]>;
  low: (number | null)[];
  high: (number | null)[];
}

export class Curves {
  constructor(which: Which) {
    this._which = which;
    this._local = `local_${which}`;
  }

  /** What all lists are of: the node's own model, or the merged one on the node's data. */
  get ofOwnModels(): boolean {
    return this._own;
  }

  update(detail: TrainingDetail): Columns {
    const { measures } = detail;
    if (detail.id !== this._id || measures !== this._measures) {
      this._id = detail.id;
      this._measures = measures;
      this._own = false;
      this._looked = 0;
      this._reset();
    }
    for (; !this._own && this._looked < measures.length; this._looked++) {
      if (measures[this._looked][this._local] !== null) {
        this._own = true;
        this._reset();
      }
    }
    // A round's judgement comes with the next one: the last two are read again.
    this._drop(2);
    let from = this._starts.length ? this._starts[this._starts.length - 1].end : 0;
    while (from < measures.length) {
      let end = from;
      while (end < measures.length && measures[end].round === measures[from].round) {
        end += 1;
      }
      this._add(from, end);
      from = end;
    }
    return this._columns;
  }

  private _add(from: number, end: number): void {
    const { rounds, merged, nodes, low, high } = this._columns;
    const row = this._measures.slice(from, end);
    const at = rounds.length;
    rounds.push(row[0].round);
    merged.push(mean(row.map(one => one[this._which])));
    const name = this._own ? this._local : this._which;
    const known: number[] = [];
    for (const one of row) {
      const value = one[name];
      let column = nodes.get(one.node);
      if (column === undefined) {
        column = new Array<number | null>(at).fill(null);
        nodes.set(one.node, column);
      }
      column[at] = value;
      if (value !== null) {
        known.push(value);
      }
    }
    nodes.forEach(column => {
      if (column.length === at) {
        column.push(null);
      }
    });
    low.push(known.length ? Math.min(...known) : null);
    high.push(known.length ? Math.max(...known) : null);
    this._starts.push({ end });
  }

  private _drop(count: number): void {
    const keep = Math.max(0, this._starts.length - count);
    const { rounds, merged, nodes, low, high } = this._columns;
    this._starts.length = keep;
    [rounds, merged, low, high, ...nodes.values()].forEach(column => (column.length = Math.min(column.length, keep)));
  }

  private _reset(): void {
    this._starts = [];
    this._columns = { rounds: [], merged: [], nodes: new Map(), low: [], high: [] };
  }

  private _which: Which;
  private _local: 'local_loss' | 'local_metric';
  private _own = false;
  private _looked = 0;
  private _id = '';
  private _measures: TrainingDetail['measures'] = [];
  private _starts: { end: number }[] = [];
  private _columns: Columns = { rounds: [], merged: [], nodes: new Map(), low: [], high: [] };
}
