/** The facts of one swarm in their order, without a gap: what the socket missed is asked for. */
import type { Fact, Facts } from './api';

export type Listener = (facts: Fact[]) => void;

export class FactStream {
  /** `since`: the last fact that the listener knows. `fetch` gives those after a fact, some thousands at most. */
  constructor(
    private readonly _fetch: (since: number) => Promise<Facts>,
    private readonly _listener: Listener,
    since: number
  ) {
    this._last = since;
  }

  /** Facts as they come; those that are known are passed over, a gap is filled first. */
  offer(facts: Fact[]): void {
    const fresh = facts.filter(fact => fact.seq > this._last);
    if (fresh.length === 0) {
      return;
    }
    if (fresh[0].seq > this._last + 1) {
      void this.catchUp();
      return;
    }
    this._last = fresh[fresh.length - 1].seq;
    this._listener(fresh);
  }

  /** Ask for all after the last known one. Calls while one is under way become one more round of it. */
  async catchUp(): Promise<void> {
    this._again = true;
    if (this._busy || this._closed) {
      return;
    }
    this._busy = true;
    try {
      while (this._again && !this._closed) {
        this._again = false;
        const { facts } = await this._fetch(this._last);
        const fresh = this._closed ? [] : facts.filter(fact => fact.seq > this._last);
        if (fresh.length > 0) {
          this._last = fresh[fresh.length - 1].seq;
          // There may be more, and some may have come meanwhile.
          this._again = true;
          this._listener(fresh);
        }
      }
    } catch {
      // The network is gone or the swarm is: the next opening of the socket asks again.
    } finally {
      this._busy = false;
    }
  }

  close(): void {
    this._closed = true;
  }

  private _last: number;
  private _busy = false;
  private _again = false;
  private _closed = false;
}
