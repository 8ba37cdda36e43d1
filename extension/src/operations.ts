/** What the server works on: news by the socket, by asking while that is gone, and an end for who waits. */
import type { Operation } from './api';
import { asFailure, SwarmFailure } from './failure';
import type { Trans } from './words';

const ASK_MS = 2000;

interface Waiter {
  id: string;
  said: ((operation: Operation) => void) | undefined;
  resolve(operation: Operation): void;
  reject(failure: SwarmFailure): void;
}

export class Operations {
  constructor(
    private readonly _ask: (id: string) => Promise<Operation>,
    private readonly _trans: Trans
  ) {}

  get all(): readonly Operation[] {
    return [...this._known.values()];
  }

  take(operation: Operation): void {
    const known = this._known.get(operation.id);
    if (known && known.state !== 'running' && operation.state === 'running') {
      return;
    }
    this._known.set(operation.id, operation);
    for (const waiter of [...this._waiters].filter(one => one.id === operation.id)) {
      this._tell(waiter, operation);
    }
  }

  /** All that the server has; those who wait for one that it does not have are asked about. */
  replace(operations: Operation[]): void {
    const ids = new Set(operations.map(operation => operation.id));
    for (const id of this._known.keys()) {
      if (!ids.has(id)) {
        this._known.delete(id);
      }
    }
    operations.forEach(operation => this.take(operation));
    if ([...this._waiters].some(waiter => !ids.has(waiter.id))) {
      this.poll();
    }
  }

  /** Another start of the server has no operations of the one before. */
  booted(boot: string): void {
    if (this._boot !== null && this._boot !== boot) {
      this._known.clear();
      this.poll();
    }
    this._boot = boot;
  }

  end(id: string, said?: (operation: Operation) => void): Promise<Operation> {
    return new Promise((resolve, reject) => {
      const waiter: Waiter = { id, said, resolve, reject };
      this._waiters.add(waiter);
      const known = this._known.get(id);
      if (known !== undefined) {
        this._tell(waiter, known);
      }
    });
  }

  /** Ask for what is waited for until each has an end: the socket does not tell. */
  poll(): void {
    clearTimeout(this._timer);
    if (this._waiters.size > 0) {
      this._timer = setTimeout(() => void this._poll(), ASK_MS);
    }
  }

  dispose(): void {
    clearTimeout(this._timer);
  }

  private async _poll(): Promise<void> {
    for (const waiter of [...this._waiters]) {
      try {
        this.take(await this._ask(waiter.id));
      } catch (error) {
        const failure = asFailure(error, this._trans);
        if (failure.status === 404) {
          this._waiters.delete(waiter);
          waiter.reject(this._forgotten());
        }
      }
    }
    this.poll();
  }

  private _forgotten(): SwarmFailure {
    return new SwarmFailure(
      'answer',
      this._trans.__('The Jupyter server was restarted in the meantime and does not know how this ended.'),
      this._trans.__('The state of the swarm shows what came of it.')
    );
  }

  private _tell(waiter: Waiter, operation: Operation): void {
    if (operation.state === 'running') {
      waiter.said?.(operation);
      return;
    }
    this._waiters.delete(waiter);
    if (operation.state === 'done') {
      waiter.resolve(operation);
    } else {
      waiter.reject(SwarmFailure.of(operation.error ?? { code: '', message: operation.verb, next: '' }));
    }
  }

  private readonly _known = new Map<string, Operation>();
  private readonly _waiters = new Set<Waiter>();
  private _boot: string | null = null;
  private _timer: ReturnType<typeof setTimeout> | undefined;
}
