/** What nodes measured on their own validation data, as `swarm_lab/facts/measures.py` takes it from the rounds. */
import type { Measure, NodeMetrics, Round, TrainingDetail } from './api';
import { number } from './values';

/** A check-in tells of the model that its interval started from: of the round before. */
export function measure(view: TrainingDetail, done: Round, said: Record<string, NodeMetrics | null>): void {
  for (const [node, found] of Object.entries(said)) {
    judge(view, node, done.round - 1, found ?? {});
    for (const name of ['local_loss', 'local_metric'] as const) {
      const value = number(found?.[name]);
      if (value !== null) {
        view.metrics[node] = { ...NOTHING, ...view.metrics[node], [name]: value };
      }
    }
    view.merged_batches[node] = (view.merged_batches[node] ?? 0) + (number(found?.batches) ?? 0);
  }
  for (const node of done.nodes) {
    view.measures.push({
      round: done.round,
      node,
      loss: null,
      metric: null,
      local_loss: number(said[node]?.local_loss),
      local_metric: number(said[node]?.local_metric)
    });
  }
}

const NOTHING: NodeMetrics = { loss: null, metric: null, local_loss: null, local_metric: null };

/** A node's judgement of the merged model of a round. */
export function judge(view: TrainingDetail, node: string, at: number, said: NodeMetrics): void {
  const entry = measureOf(view.measures, at, node);
  for (const name of ['loss', 'metric'] as const) {
    const value = number(said[name]);
    if (value !== null) {
      view.metrics[node] = { ...NOTHING, ...view.metrics[node], [name]: value };
      if (entry) {
        entry[name] = value;
      }
    }
  }
}

/** A node that had finished goes on after all: what its rounds told holds again. */
export function unjudge(view: TrainingDetail, node: string): void {
  const known = { ...NOTHING, ...view.metrics[node], ...view.finished[node] };
  if (Object.values(known).every(value => value === null)) {
    delete view.metrics[node];
  } else {
    view.metrics[node] = known;
  }
  const entry = measureOf(view.measures, view.round, node);
  if (entry) {
    entry.loss = entry.metric = null;
  }
}

/** Measures are in the order of rounds, and who is asked for is among the newest. */
function measureOf(measures: Measure[], at: number, node: string): Measure | undefined {
  for (let place = measures.length - 1; place >= 0 && measures[place].round >= at; place--) {
    if (measures[place].round === at && measures[place].node === node) {
      return measures[place];
    }
  }
  return undefined;
}
