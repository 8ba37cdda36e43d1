/** What the browser knows about the swarms; every surface reads it, none asks the server on its own. */
import { DisposableDelegate, type IDisposable } from '@lumino/disposable';
import { type ISignal, Signal } from '@lumino/signaling';
import { API } from './api';
import type { About, Fact, Facts, HostInfo, LiveMessage, Operation, Snapshot, SwarmInfo } from './api';
import { Connection } from './connection';
import { FactStream } from './facts';
import { asFailure, noNetwork, otherVersion, type SwarmFailure } from './failure';
import { Loads } from './loads';
import { Operations } from './operations';
import { type IVisibility, Pacer } from './pacer';
import type { ISwarmModel, Link, LogMessage } from './tokens';
import { type ITransport, pathOf } from './transport';
import { english, type Trans } from './words';

/** Updates come every two seconds; three missed ones make what is shown stale. */
export const STALE_MS = 6500;

export class SwarmModel implements ISwarmModel {
  constructor(
    private readonly _transport: ITransport,
    visibility: IVisibility,
    private readonly _trans: Trans = english
  ) {
    this._pacer = new Pacer(() => this._changed.emit(), visibility);
    this._connection = new Connection(_transport, {
      admit: () => this._admit(),
      opened: () => this._opened(),
      message: message => this._message(message),
      lost: error => this._lost(error)
    });
    this._operations = new Operations(id => this.request<Operation>('GET', pathOf('operations', id)), _trans);
  }

  get link(): Link {
    return this._link;
  }

  get failure(): SwarmFailure | null {
    return this._failure;
  }

  get heard(): number {
    return this._heard;
  }

  get about(): About | null {
    return this._about;
  }

  get swarms(): readonly SwarmInfo[] {
    return this._swarms;
  }

  get hosts(): readonly HostInfo[] {
    return this._hosts;
  }

  get operations(): readonly Operation[] {
    return this._operations.all;
  }

  get changed(): ISignal<ISwarmModel, void> {
    return this._changed;
  }

  get swarmChanged(): ISignal<ISwarmModel, { before: SwarmInfo | null; after: SwarmInfo | null }> {
    return this._swarmChanged;
  }

  get selected(): string | null {
    const chosen = this._selected !== null && this.swarm(this._selected) !== null;
    if (chosen) {
      return this._selected;
    }
    const first = this._swarms.find(swarm => swarm.state !== 'stopped') ?? this._swarms[0];
    return first?.swarm ?? null;
  }

  set selected(name: string | null) {
    this._selected = name;
    this._node = this._training = null;
    this._pacer.poke();
  }

  get selectedNode(): string | null {
    return this._node;
  }

  get selectedTraining(): string | null {
    return this._training;
  }

  select(swarm: string, what: { node?: string; training?: string } = {}): void {
    if (swarm !== this.selected) {
      this._node = this._training = null;
    }
    this._selected = swarm;
    this._node = what.node ?? this._node;
    this._training = what.training ?? this._training;
    this._pacer.poke();
  }

  swarm(name: string): SwarmInfo | null {
    return this._swarms.find(swarm => swarm.swarm === name) ?? null;
  }

  /** Connect and go on connecting. */
  start(): void {
    this._connection.start();
  }

  async refresh(): Promise<void> {
    this._connection.start();
    try {
      const snapshot = await this.request<Snapshot>('GET', 'snapshot');
      // The socket may have overtaken the answer.
      const known = snapshot.swarms.map(swarm => ({ swarm, ours: this.swarm(swarm.swarm) }));
      const swarms = known.map(({ swarm, ours }) => (ours && ours.seq > swarm.seq ? ours : swarm));
      this._take({ ...snapshot, swarms });
    } catch (error) {
      this._failure = this._connection.live ? null : asFailure(error, this._trans);
    }
    this._pacer.poke();
  }

  async request<T>(method: string, path: string, body?: unknown): Promise<T> {
    return (await this._transport.request(method, path, body)) as T;
  }

  async run(
    method: string,
    path: string,
    body?: unknown,
    said?: (operation: Operation) => void
  ): Promise<Operation> {
    const operation = await this.request<Operation>(method, path, body);
    this._operations.take(operation);
    this._pacer.poke();
    return this._operations.end(operation.id, said);
  }

  watch(swarm: string, since: number, listener: (facts: Fact[]) => void): IDisposable {
    const path = pathOf('facts');
    const fetch = (seq: number): Promise<Facts> =>
      this.request('GET', `${path}?swarm=${encodeURIComponent(swarm)}&since=${seq}`);
    const stream = new FactStream(fetch, listener, since);
    const streams = this._streams.get(swarm) ?? new Set();
    if (streams.size === 0) {
      this._streams.set(swarm, streams);
      this._connection.send({ type: 'watch', swarm, facts: true });
    }
    streams.add(stream);
    void stream.catchUp();
    return new DisposableDelegate(() => {
      stream.close();
      streams.delete(stream);
      if (streams.size === 0 && this._streams.delete(swarm)) {
        this._connection.send({ type: 'unwatch', swarm });
      }
    });
  }

  follow(
    swarm: string,
    node: string,
    from: () => number,
    listener: (message: LogMessage) => void
  ): IDisposable {
    const follower = { swarm, node, from, listener };
    this._followers.add(follower);
    this._connection.send({ type: 'follow', swarm, node, from: from() });
    return new DisposableDelegate(() => {
      this._followers.delete(follower);
      if (![...this._followers].some(other => other.swarm === swarm && other.node === node)) {
        this._connection.send({ type: 'unfollow', swarm, node });
      }
    });
  }

  dispose(): void {
    clearTimeout(this._silence);
    this._connection.dispose();
    this._pacer.dispose();
    this._operations.dispose();
    Signal.clearData(this);
  }

  /** A server of another version may speak differently: nothing of it is shown then. */
  private async _admit(): Promise<void> {
    this._about = await this.request<About>('GET', 'about');
    if (this._about.api !== API) {
      throw otherVersion(this._trans);
    }
  }

  private _opened(): void {
    for (const [swarm, streams] of this._streams) {
      this._connection.send({ type: 'watch', swarm, facts: true });
      streams.forEach(stream => void stream.catchUp());
    }
    for (const { swarm, node, from } of this._followers) {
      this._connection.send({ type: 'follow', swarm, node, from: from() });
    }
  }

  private _lost(error: unknown): void {
    this._failure = error === null ? noNetwork(this._trans) : asFailure(error, this._trans);
    this._link = 'lost';
    clearTimeout(this._silence);
    this._operations.poll();
    this._pacer.poke();
  }

  private _message(message: LiveMessage): void {
    this._hear();
    switch (message.type) {
      case 'hello':
        this._operations.booted(message.boot);
        break;
      case 'snapshot':
        this._take(message.snapshot);
        break;
      case 'status':
        this._put(message.swarm);
        break;
      case 'gone':
        this._remove(message.swarm);
        break;
      case 'hosts':
        this._hosts = message.hosts;
        break;
      case 'facts':
        this._streams.get(message.swarm)?.forEach(stream => stream.offer(message.facts));
        break;
      case 'log':
        this._followers.forEach(one => {
          if (one.swarm === message.swarm && one.node === message.node) {
            one.listener(message);
          }
        });
        break;
      case 'operation':
        this._operations.take(message.operation);
        break;
      case 'dropped':
        this._dropped(message.swarm);
        break;
    }
    this._pacer.poke();
  }

  private _hear(): void {
    this._heard = Date.now() / 1000;
    this._link = 'live';
    this._failure = null;
    clearTimeout(this._silence);
    this._silence = setTimeout(() => {
      this._link = 'stale';
      this._pacer.poke();
    }, STALE_MS);
  }

  /** The server's queue for this tab was full. */
  private _dropped(swarm: string | null): void {
    for (const [name, streams] of this._streams) {
      if (swarm === null || swarm === name) {
        streams.forEach(stream => void stream.catchUp());
      }
    }
    void this.refresh();
  }

  private _take(snapshot: Snapshot): void {
    const names = new Set(snapshot.swarms.map(swarm => swarm.swarm));
    this._swarms.filter(swarm => !names.has(swarm.swarm)).forEach(swarm => this._remove(swarm.swarm));
    snapshot.swarms.forEach(swarm => this._put(swarm));
    const order = new Map(snapshot.swarms.map((swarm, index) => [swarm.swarm, index]));
    this._swarms = [...this._swarms].sort((a, b) => order.get(a.swarm)! - order.get(b.swarm)!);
    this._hosts = snapshot.hosts;
    this._operations.replace(snapshot.operations);
  }

  private _put(swarm: SwarmInfo): void {
    const before = this.swarm(swarm.swarm);
    this._swarms = before
      ? this._swarms.map(known => (known === before ? swarm : known))
      : [...this._swarms, swarm];
    this.loads.record(swarm, Date.now());
    this._swarmChanged.emit({ before, after: swarm });
  }

  private _remove(name: string): void {
    const before = this.swarm(name);
    this._swarms = this._swarms.filter(swarm => swarm.swarm !== name);
    this.loads.forget(name);
    if (before !== null) {
      this._swarmChanged.emit({ before, after: null });
    }
  }

  readonly loads = new Loads();
  private readonly _pacer: Pacer;
  private readonly _connection: Connection;
  private readonly _operations: Operations;
  private readonly _streams = new Map<string, Set<FactStream>>();
  private readonly _followers = new Set<Follower>();
  private readonly _changed = new Signal<ISwarmModel, void>(this);
  private readonly _swarmChanged = new Signal<
    ISwarmModel,
    { before: SwarmInfo | null; after: SwarmInfo | null }
  >(this);
  private _about: About | null = null;
  private _link: Link = 'loading';
  private _failure: SwarmFailure | null = null;
  private _heard = 0;
  private _swarms: readonly SwarmInfo[] = [];
  private _hosts: readonly HostInfo[] = [];
  private _selected: string | null = null;
  private _node: string | null = null;
  private _training: string | null = null;
  private _silence: ReturnType<typeof setTimeout> | undefined;
}

interface Follower {
  swarm: string;
  node: string;
  from(): number;
  listener(message: LogMessage): void;
}
