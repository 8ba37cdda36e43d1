/** The node and the round that all views of a swarm look at. */

export interface ISelected {
  node: string | null;
  /** Null: the newest, as it comes. */
  round: number | null;
}

export class Selection {
  get node(): string | null {
    return this._now.node;
  }

  get round(): number | null {
    return this._now.round;
  }

  /** Select; what is not named stays. */
  select(what: Partial<ISelected>): void {
    const next = { ...this._now, ...what };
    if (next.node !== this._now.node || next.round !== this._now.round) {
      this._now = next;
      [...this._listeners].forEach(listener => listener());
    }
  }

  /** Select a node, or none if it is the selected one. */
  toggleNode(node: string): void {
    this.select({ node: node === this.node ? null : node });
  }

  /** Returns how to end it. */
  subscribe(listener: () => void): () => void {
    this._listeners.add(listener);
    return () => this._listeners.delete(listener);
  }

  private _now: ISelected = { node: null, round: null };
  private _listeners = new Set<() => void>();
}
