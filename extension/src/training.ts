/** What the facts of a training add up to, one after another: the same as `swarm_lab/facts/views.py` folds them. */
import type { Fact, NodeMetrics, OutputLine, Round, Told, TrainingDetail } from './api';
import { judge, measure, unjudge } from './measures';
import { mean, names, number, text } from './values';

/** States of a training that every node has ended. */
export const OVER: ReadonlySet<string> = new Set(['finished', 'stopped', 'failed']);

const OUTPUT_LINES = 200;
const ROUNDS_FOR_PACE = 5;

/**
 * Fold further facts of a swarm onto a training; without one, the first that they tell of.
 *
 * The answer is a new object where a fact has changed it, else `detail` itself. Its lists of rounds and measures grow
 * in place: a training has thousands of rounds, and a copy of them with every fact would cost more than the drawing.
 */
export function fold(detail: TrainingDetail | null, facts: Fact[]): TrainingDetail {
  const view = detail ? ownOf(detail) : newTraining('');
  let changed = detail === null;
  for (const fact of facts) {
    if (fact.seq <= view.seq) {
      continue;
    }
    view.seq = fact.seq;
    const step = STEPS[fact.event];
    view.id ||= step ? text(fact.training) : '';
    if (step && fact.v === 1 && fact.training === view.id) {
      if (LIFE.has(fact.event)) {
        delete view.lost[text(fact.node)];
      }
      step(view, fact);
      changed = true;
    }
  }
  if (!changed && detail) {
    detail.seq = view.seq;
    return detail;
  }
  summarise(view);
  return view;
}

/** A copy whose records may be changed; see `fold` for its lists. */
function ownOf(detail: TrainingDetail): TrainingDetail {
  return {
    ...detail,
    metrics: { ...detail.metrics },
    waiting: { ...detail.waiting },
    failed: { ...detail.failed },
    failures: { ...detail.failures },
    lost: { ...detail.lost },
    now: { ...detail.now },
    progress: { ...detail.progress },
    merged_batches: { ...detail.merged_batches },
    finished: { ...detail.finished },
    told: { ...detail.told }
  };
}

/** A training of which nothing is known yet. */
export function newTraining(id: string, swarm = ''): TrainingDetail {
  return {
    id,
    swarm,
    seq: 0,
    state: 'queued',
    stopping: false,
    round: 0,
    nodes: [],
    merge: 'mean',
    metrics: {},
    min_peers: 1,
    sync: 0,
    adaptive: false,
    early_stopping: 0,
    program: '',
    digest: null,
    model: null,
    waiting: {},
    failed: {},
    lost: {},
    without: {},
    created: 0,
    ended: null,
    rounds_planned: null,
    eta_s: null,
    round_seconds: null,
    loss: null,
    metric: null,
    rounds: [],
    measures: [],
    now: {},
    progress: {},
    merged_batches: {},
    finished: {},
    failures: {},
    told: {}
  };
}

/** Whether every node has ended. */
export function isOver(detail: { state: string }): boolean {
  return OVER.has(detail.state);
}

type Step = (view: TrainingDetail, fact: Fact) => void;

function created(view: TrainingDetail, fact: Fact): void {
  view.nodes = [...names(fact.nodes)];
  view.merge = text(fact.merge) || 'mean';
  view.min_peers = number(fact.min_peers) ?? 1;
  pace(view, fact);
  view.program = text(fact.program);
  view.created = fact.time;
}

function pace(view: TrainingDetail, fact: Fact): void {
  view.sync = number(fact.sync) ?? 0;
  view.adaptive = Boolean(fact.adaptive);
  view.early_stopping = number(fact.early_stopping) ?? 0;
}

function started(view: TrainingDetail): void {
  if (!isOver(view)) {
    view.state = 'running';
  }
}

function agreed(view: TrainingDetail, fact: Fact): void {
  view.merge = text(fact.merge);
  view.min_peers = number(fact.min_peers) ?? 1;
  pace(view, fact);
}

/** Those that come back have neither finished nor failed; of a training that was over, the others are out of it. */
function resumed(view: TrainingDetail, fact: Fact): void {
  const nodes = names(fact.nodes);
  if (isOver(view) || !view.nodes.length) {
    view.nodes = [...nodes];
    view.stopping = false;
    view.state = 'queued';
    view.ended = view.model = view.digest = null;
  }
  for (const node of nodes) {
    forget(view, node);
    delete view.lost[node];
    if (node in view.finished) {
      unjudge(view, node);
      delete view.finished[node];
    }
  }
  Object.keys(view.failed)
    .filter(node => !view.nodes.includes(node))
    .forEach(node => forget(view, node));
}

function joined(view: TrainingDetail, fact: Fact): void {
  const node = text(fact.node);
  if (!view.nodes.includes(node)) {
    view.nodes = [...view.nodes, node];
  }
}

function progress(view: TrainingDetail, fact: Fact): void {
  const node = text(fact.node);
  started(view);
  const said = { round: number(fact.round), batches: number(fact.batches) ?? 0, loss: number(fact.loss) };
  view.progress[node] = said;
  delete view.waiting[node];
  enter(view, node, 'TRAINING', fact.time);
}

function waiting(view: TrainingDetail, fact: Fact): void {
  const node = text(fact.node);
  const { phase = null, reason = null, nodes = null, since = null } = fact;
  view.waiting[node] = { phase, reason, nodes, since };
  enter(view, node, text(phase) || 'WAITING_FOR_PEERS', number(since) ?? fact.time, names(nodes), text(reason));
}

function lost(view: TrainingDetail, fact: Fact): void {
  const node = text(fact.node);
  if (!(node in view.failed) && !(node in view.finished)) {
    const { by = null, reason = null, since = null } = fact;
    view.lost[node] = { by, reason, since };
  }
}

function round(view: TrainingDetail, fact: Fact): void {
  started(view);
  const at = number(fact.round) ?? 0;
  if (at <= view.round) {
    return;
  }
  const metrics = (fact.metrics ?? {}) as Record<string, NodeMetrics | null>;
  const told = view.told[at] ?? { coordinator: null, times: {} };
  const done: Round = {
    ...told,
    round: at,
    time: fact.time,
    seconds: number(fact.seconds),
    nodes: [...names(fact.nodes)],
    left_out: { ...(fact.left_out as Record<string, string> | null | undefined) },
    digest: text(fact.digest),
    tx: text(fact.tx) || null,
    path: text(fact.path) || null,
    interval: number(fact.interval)
  };
  view.rounds.push(done);
  view.round = at;
  view.told = Object.fromEntries(Object.entries(view.told).filter(([number]) => Number(number) > at));
  measure(view, done, metrics);
  for (const node of done.nodes) {
    delete view.waiting[node];
    enter(view, node, 'TRAINING', fact.time);
  }
}

/** Told when a node has merged: before the round's commit or after it. */
function roundTimes(view: TrainingDetail, fact: Fact): void {
  const at = number(fact.round) ?? 0;
  if (at > view.round) {
    addTimes((view.told[at] ??= { coordinator: null, times: {} }), fact);
    return;
  }
  for (let place = view.rounds.length - 1; place >= 0 && view.rounds[place].round >= at; place--) {
    if (view.rounds[place].round === at) {
      addTimes(view.rounds[place], fact);
    }
  }
}

function addTimes(told: Told, fact: Fact): void {
  told.coordinator = text(fact.coordinator) || told.coordinator;
  told.times[text(fact.node)] = {
    training: number(fact.training_s) ?? 0,
    waiting: number(fact.waiting_s) ?? 0,
    exchanging: number(fact.exchanging_s) ?? 0
  };
}

function nodeFinished(view: TrainingDetail, fact: Fact): void {
  const node = text(fact.node);
  forget(view, node);
  delete view.waiting[node];
  const { loss = null, metric = null } = view.metrics[node] ?? {};
  view.finished[node] ??= { loss, metric };
  judge(view, node, number(fact.round) || view.round, (fact.metrics ?? {}) as NodeMetrics);
  enter(view, node, 'FINISHED', fact.time);
}

function nodeFailed(view: TrainingDetail, fact: Fact): void {
  const node = text(fact.node);
  const failure = {
    code: text(fact.code) || null,
    message: text(fact.message),
    next: (fact.next as string | null | undefined) ?? null,
    traceback: (fact.traceback as string | null | undefined) ?? null,
    line: number(fact.line)
  };
  view.failures[node] = failure;
  view.failed[node] = failure.message;
  delete view.waiting[node];
  enter(view, node, failure.code ? `FAILED(${failure.code})` : 'FAILED', fact.time);
}

function stopped(view: TrainingDetail): void {
  view.stopping = true;
}

function finished(view: TrainingDetail, fact: Fact): void {
  view.state = text(fact.state) || (view.stopping ? 'stopped' : 'finished');
  view.model = text(fact.model) || null;
  view.digest = text(fact.digest) || null;
  view.ended = fact.time;
  view.without = { ...(fact.without as Record<string, string> | null | undefined) };
  view.waiting = {};
  view.lost = {};
}

function output(view: TrainingDetail, fact: Fact): void {
  const stream = fact.stream === 'stderr' ? 'stderr' : 'stdout';
  const line: OutputLine = { node: text(fact.node), stream, text: text(fact.text).replace(/\n$/, '') };
  view.output = [...(view.output ?? []), line].slice(-OUTPUT_LINES);
}

/** A node's phase; one that goes on keeps its beginning. */
function enter(
  view: TrainingDetail,
  node: string,
  phase: string,
  since: number,
  waiting_for: string[] = [],
  reason = ''
): void {
  const known = view.now[node];
  const begun = known?.phase === phase ? known.since : since;
  view.now[node] = { phase, since: begun, waiting_for, reason };
}

function forget(view: TrainingDetail, node: string): void {
  delete view.failed[node];
  delete view.failures[node];
}

/** What follows from the rest: pace, and the mean of what nodes measured last. */
function summarise(view: TrainingDetail): void {
  const paces = view.rounds.slice(-ROUNDS_FOR_PACE).map(done => done.seconds);
  view.round_seconds = mean(paces);
  const said = Object.values(view.metrics);
  view.loss = mean(said.map(one => one.loss));
  view.metric = mean(said.map(one => one.metric));
}

/** What only a node that is there can say. */
const LIFE: ReadonlySet<string> = new Set(['training_started', 'progress', 'waiting', 'round_times', 'node_finished']);

const STEPS: Partial<Record<string, Step>> = {
  training_created: created,
  training_queued: () => undefined,
  training_started: started,
  training_agreed: agreed,
  training_resumed: resumed,
  node_joined: joined,
  progress,
  waiting,
  node_lost: lost,
  round,
  round_times: roundTimes,
  node_finished: nodeFinished,
  node_failed: nodeFailed,
  training_stopped: stopped,
  finished,
  output
};
