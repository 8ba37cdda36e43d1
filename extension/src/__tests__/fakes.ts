/** A server and a browser tab for tests: sockets that are opened, spoken to and cut by hand. */
import type { Fact, LiveMessage, NodeInfo, SwarmInfo, TrainingInfo } from '../api';
import type { ISocket, ISocketEvents, ITransport } from '../transport';

export class FakeTransport implements ITransport {
  readonly asked: string[] = [];
  readonly sent: { type: string; [field: string]: unknown }[] = [];
  readonly sockets: ISocketEvents[] = [];
  /** By "METHOD path"; a function is called, an Error is raised. */
  answers: Record<string, unknown> = { 'GET about': { version: '1', api: 1, boot: 'a', frameworks: [] } };

  async request(method: string, path: string): Promise<unknown> {
    this.asked.push(`${method} ${path}`);
    const found = this.answers[`${method} ${path}`];
    const answer = typeof found === 'function' ? found() : found;
    if (answer === undefined || answer instanceof Error) {
      throw answer ?? new Error(`no answer for ${method} ${path}`);
    }
    return answer;
  }

  connect(events: ISocketEvents): ISocket {
    this.sockets.push(events);
    return { send: text => void this.sent.push(JSON.parse(text)), close: () => events.closed() };
  }

  get socket(): ISocketEvents {
    return this.sockets[this.sockets.length - 1];
  }

  say(message: LiveMessage): void {
    this.socket.message(JSON.stringify(message));
  }
}

export class FakePage {
  isHidden = false;
  private _callback: () => void = () => undefined;

  hidden = (): boolean => this.isHidden;

  onShown = (callback: () => void): void => void (this._callback = callback);

  show(): void {
    this.isHidden = false;
    this._callback();
  }
}

export const fact = (seq: number): Fact => ({ v: 1, seq, time: seq, event: 'round' });

export function aNode(fields: Partial<NodeInfo> = {}): NodeInfo {
  return {
    name: 'sl-1',
    kind: 'sl',
    state: 'ready',
    host: 'localhost',
    address: '127.0.0.1:30305',
    spiffe_id: 'spiffe://demo.swarm/sl/sl-1',
    seat: 'warm',
    pid: 1,
    message: '',
    since: 0,
    phase: null,
    phase_since: null,
    round: null,
    waiting_for: [],
    extra: {},
    load: null,
    expires: null,
    faults: [],
    ...fields
  };
}

export function aTraining(fields: Partial<TrainingInfo> = {}): TrainingInfo {
  return {
    id: 't-1',
    state: 'running',
    round: 1,
    nodes: ['sl-1', 'sl-2'],
    merge: 'mean',
    metrics: {},
    min_peers: 2,
    sync: 16,
    adaptive: false,
    early_stopping: 0,
    program: 'program.py',
    digest: null,
    model: null,
    waiting: {},
    failed: {},
    lost: {},
    without: {},
    created: 0,
    ended: null,
    rounds_planned: 40,
    eta_s: null,
    round_seconds: null,
    loss: null,
    metric: null,
    ...fields
  };
}

export function aSwarm(fields: Partial<SwarmInfo> = {}): SwarmInfo {
  return {
    swarm: 'demo',
    state: 'ready',
    framework: 'torch',
    directory: '/data/demo',
    message: '',
    seq: 1,
    nodes: [aNode(), aNode({ name: 'sl-2' })],
    trainings: [],
    ...fields
  };
}
