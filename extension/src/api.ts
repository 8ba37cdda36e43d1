/** What the server extension says and takes: the types of its REST calls and of its live WebSocket, once. */

/** The version of the interface that this extension speaks; `About.api` says the server's. */
export const API = 1;

export interface About {
  version: string;
  api: number;
  /** Changes with each start of the server. */
  boot: string;
  frameworks: string[];
}

export interface ErrorAction {
  label: string;
  method: string;
  path: string;
  body?: unknown;
}

export interface SwarmError {
  code: string;
  message: string;
  next: string;
  action?: ErrorAction;
}

/** Everything that the panel shows. */
export interface Snapshot {
  boot: string;
  time: number;
  swarms: SwarmInfo[];
  operations: Operation[];
  hosts: HostInfo[];
}

export interface SwarmStatus {
  swarm: string;
  state: string;
  framework: string;
  directory: string;
  message: string;
}

export interface SwarmInfo extends SwarmStatus {
  /** The last fact that this holds. */
  seq: number;
  /** Why the swarm's folder cannot be read; there are no nodes then. */
  error?: SwarmError | null;
  nodes: NodeInfo[];
  /** Newest last. */
  trainings: TrainingInfo[];
}

export interface NodeStatus {
  name: string;
  kind: string;
  state: string;
  host: string;
  address: string;
  spiffe_id: string | null;
  /** How an SL's programs start: `warm`, `cold`, or what it says of its warm parent. */
  seat: unknown;
  pid: number | null;
  message: string;
  since: number | null;
  phase: string | null;
  phase_since: number | null;
  round: number | null;
  waiting_for: string[];
  extra: Record<string, unknown>;
}

export interface NodeInfo extends NodeStatus {
  load: Load | null;
  /** Unix seconds, of its SVID. */
  expires: number | null;
  faults: ActiveFault[];
}

export interface Load {
  /** Percent of one core. */
  cpu: number;
  /** Bytes, with its program. */
  memory: number;
  /** Percent. */
  gpu: number | null;
  gpu_memory: number | null;
}

export interface ActiveFault {
  kind: 'pause' | 'slow';
  since: number;
  until: number | null;
}

/** The latest judgement of one node. */
export interface NodeMetrics {
  loss?: number | null;
  metric?: number | null;
  local_loss?: number | null;
  local_metric?: number | null;
  [field: string]: unknown;
}

export interface TrainingStatus {
  id: string;
  state: string;
  round: number;
  nodes: string[];
  merge: string;
  metrics: Record<string, NodeMetrics>;
  min_peers: number;
  sync: number;
  adaptive: boolean;
  early_stopping: number;
  program: string;
  digest: string | null;
  model: string | null;
  waiting: Record<string, unknown>;
  failed: Record<string, string>;
  lost: Record<string, unknown>;
  without: Record<string, string>;
}

export interface TrainingInfo extends TrainingStatus {
  created: number;
  ended: number | null;
  rounds_planned: number | null;
  eta_s: number | null;
  round_seconds: number | null;
  /** Of the merged model, over the nodes. */
  loss: number | null;
  metric: number | null;
}

export interface HostInfo {
  name: string;
  cpus: number;
  /** Percent of all. */
  cpu: number;
  memory: number;
  memory_used: number;
  disk_free: number;
  gpus: GpuInfo[];
}

export interface GpuInfo {
  index: number;
  name: string;
  memory: number;
  memory_used: number;
  load: number | null;
}

export interface Operation {
  id: string;
  verb: string;
  swarm: string | null;
  node?: string | null;
  training?: string | null;
  state: 'running' | 'done' | 'failed';
  started: number;
  ended: number | null;
  said: string[];
  answer: unknown;
  error: SwarmError | null;
}

/** A line of `events.jsonl`, see docs/events.md. */
export interface Fact {
  v: 1;
  seq: number;
  time: number;
  event: string;
  [field: string]: unknown;
}

export interface Facts {
  facts: Fact[];
  /** To ask after, for more. */
  next: number;
}

export interface NodeDetail extends NodeInfo {
  identity: { spiffe_id: string; issued: number | null; expires: number | null; serial: string } | null;
  lease: { seat: number | null; seats: number | null; until: number | null } | null;
  ledger: {
    block: number | null;
    account: string | null;
    enrolled: boolean | null;
    sn: string | null;
  };
  last_model: { training: string; round: number; digest: string } | null;
  log_size: number;
}

export interface LogPage {
  lines: LogLine[];
  /** Byte offsets. */
  start: number;
  end: number;
  size: number;
  /** Offsets of lines that match the search, newest 1000. */
  matches?: number[];
}

export interface LogLine {
  offset: number;
  time: number | null;
  level: 'debug' | 'info' | 'warning' | 'error';
  text: string;
}

export interface TrainingDetail extends TrainingInfo {
  swarm: string;
  rounds: Round[];
  measures: Measure[];
  now: Record<string, NodePhase>;
  /** The last fact that it holds; a fold passes over facts up to it. */
  seq: number;
  /** Its end was asked for. */
  stopping: boolean;
  /** The newest `progress` of each node. */
  progress: Record<string, Progress>;
  /** Batches of each node that its rounds have merged so far. */
  merged_batches: Record<string, number>;
  /** Nodes that hold the final model, with what their rounds had told before it. */
  finished: Record<string, { loss: number | null; metric: number | null }>;
  failures: Record<string, Failure>;
  /** Of rounds that are not committed yet, by round. */
  told: Record<string, Told>;
  /** In the browser only: the last `output` facts that it saw. */
  output?: OutputLine[];
}

export interface Progress {
  round: number | null;
  batches: number;
  loss: number | null;
}

/** Why a program failed. */
export interface Failure {
  code: string | null;
  message: string;
  next: string | null;
  traceback: string | null;
  line: number | null;
}

/** Seconds of one node in one round. */
export interface RoundTimes {
  training: number;
  waiting: number;
  exchanging: number;
}

export interface Told {
  coordinator: string | null;
  times: Record<string, RoundTimes>;
}

export interface OutputLine {
  node: string;
  stream: 'stdout' | 'stderr';
  text: string;
}

export interface Round {
  round: number;
  time: number;
  seconds: number | null;
  nodes: string[];
  left_out: Record<string, string>;
  digest: string;
  tx: string | null;
  path: string | null;
  coordinator: string | null;
  /** Batches of the interval after it. */
  interval: number | null;
  /** Seconds, of nodes that told them. */
  times: Record<string, RoundTimes>;
}

export interface Measure {
  round: number;
  node: string;
  loss: number | null;
  metric: number | null;
  local_loss: number | null;
  local_metric: number | null;
}

export interface NodePhase {
  phase: string;
  since: number;
  waiting_for: string[];
  reason: string;
}

export interface SpecProblem {
  line: number;
  column: number;
  path: string;
  message: string;
}

export interface SpecCheck {
  ok: boolean;
  spec: Record<string, unknown> | null;
  problems: SpecProblem[];
}

/** One check of the doctor. */
export interface Check {
  check: string;
  ok: boolean;
  message: string;
  next: string;
}

/** What the doctor found. */
export interface Report {
  swarm: string;
  ok: boolean;
  cause: { [field: string]: unknown } | null;
  checks: Check[];
  bundle: string | null;
}

/** What was done to nodes, as a file that pytest replays. */
export interface Scenario {
  yaml: string;
  path: string;
  steps: number;
}

export interface NotebookFile {
  name: string;
  /** nbformat. */
  content: Record<string, unknown>;
}

export type FaultKind = 'pause' | 'slow' | 'kill' | 'resume';

export interface FaultRequest {
  kind: FaultKind;
  seconds?: number;
  delay_ms?: number;
}

/** Server to client. */
export type LiveMessage =
  | { type: 'hello'; boot: string; seqs: Record<string, number> }
  | { type: 'snapshot'; snapshot: Snapshot }
  | { type: 'status'; swarm: SwarmInfo }
  | { type: 'gone'; swarm: string }
  | { type: 'hosts'; hosts: HostInfo[] }
  | { type: 'facts'; swarm: string; facts: Fact[] }
  | { type: 'log'; swarm: string; node: string; lines: LogLine[]; size: number }
  | { type: 'operation'; operation: Operation }
  | { type: 'dropped'; what: string; swarm: string | null };

/** Client to server. */
export type LiveRequest =
  | { type: 'watch'; swarm: string; facts: boolean }
  | { type: 'unwatch'; swarm: string }
  | { type: 'follow'; swarm: string; node: string; from: number }
  | { type: 'unfollow'; swarm: string; node: string };
