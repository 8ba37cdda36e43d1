/** The token on which every surface, ours or somebody else's, gets at the swarms. */
import { Token } from '@lumino/coreutils';
import type { IDisposable } from '@lumino/disposable';
import type { ISignal } from '@lumino/signaling';
import type { About, Fact, HostInfo, LiveMessage, Operation, SwarmInfo } from './api';
import type { SwarmFailure } from './failure';
import type { Loads } from './loads';

/** `loading`: never heard yet. `stale`: nothing came for three updates. `lost`: `failure` says why. */
export type Link = 'loading' | 'live' | 'stale' | 'lost';

export type LogMessage = Extract<LiveMessage, { type: 'log' }>;

export interface ISwarmModel {
  readonly link: Link;
  /** Why the link is lost; null while it is not. */
  readonly failure: SwarmFailure | null;
  /** When something was last heard, in unix seconds. */
  readonly heard: number;
  readonly about: About | null;
  /** In the order of the server, which is stable. */
  readonly swarms: readonly SwarmInfo[];
  readonly hosts: readonly HostInfo[];
  readonly operations: readonly Operation[];
  readonly loads: Loads;
  /** The swarm that panel and commands are about, if none is named; the first that runs until one is chosen. */
  selected: string | null;
  /** The node and the training of that swarm which are chosen; what menus and shortcuts act on. */
  readonly selectedNode: string | null;
  readonly selectedTraining: string | null;
  select(swarm: string, what?: { node?: string; training?: string }): void;
  /** At most four times a second, never while the page is hidden. */
  readonly changed: ISignal<ISwarmModel, void>;
  /** Every new state of a swarm, at once and also in a hidden page; `before` null: it is new, `after` null: gone. */
  readonly swarmChanged: ISignal<ISwarmModel, { before: SwarmInfo | null; after: SwarmInfo | null }>;

  swarm(name: string): SwarmInfo | null;
  /** Ask for everything again, and connect at once if that is waited with. */
  refresh(): Promise<void>;
  /** A REST call below `swarm-lab/api/`; raises `SwarmFailure`. */
  request<T>(method: string, path: string, body?: unknown): Promise<T>;
  /** A call that starts an operation; the operation once it is done. Raises `SwarmFailure` when it fails. */
  run(method: string, path: string, body?: unknown, said?: (operation: Operation) => void): Promise<Operation>;
  /** The facts of a swarm after `since`, in order and without a gap, until disposed. */
  watch(swarm: string, since: number, listener: (facts: Fact[]) => void): IDisposable;
  /** Lines of a node's log as they come, from a byte offset that is asked for at each connection. */
  follow(swarm: string, node: string, from: () => number, listener: (message: LogMessage) => void): IDisposable;
}

export const ISwarmModel = new Token<ISwarmModel>(
  'swarm-lab:ISwarmModel',
  'The swarms of this user, kept up to date, and what may be done to them.'
);
