/** What has happened between two states of a swarm that somebody may want to hear of. */
import type { SwarmInfo, TrainingInfo } from './api';

export type News =
  | { kind: 'round'; swarm: string; training: string; round: number }
  | { kind: 'lost'; swarm: string; training: string; node: string; round: number; reason: string; others: number }
  | { kind: 'back'; swarm: string; node: string }
  | { kind: 'ended'; swarm: string; training: string; state: string; round: number }
  | { kind: 'failed'; swarm: string; node: string; reason: string };

/** A swarm that was not known before brings no news: it is shown, not told. */
export function newsOf(before: SwarmInfo | null, after: SwarmInfo | null): News[] {
  if (before === null || after === null) {
    return [];
  }
  const news: News[] = [];
  for (const training of after.trainings) {
    const known = before.trainings.find(one => one.id === training.id);
    if (known !== undefined) {
      news.push(...ofTraining(after, known, training));
    }
  }
  for (const node of after.nodes) {
    const known = before.nodes.find(one => one.name === node.name);
    if (known !== undefined && known.state !== 'failed' && node.state === 'failed') {
      news.push({ kind: 'failed', swarm: after.swarm, node: node.name, reason: node.message });
    }
  }
  return news;
}

function ofTraining({ swarm }: SwarmInfo, before: TrainingInfo, after: TrainingInfo): News[] {
  const news: News[] = [];
  const { id: training, round } = after;
  const gone = (one: TrainingInfo): string[] => [...new Set([...Object.keys(one.lost), ...Object.keys(one.without)])];
  const [were, are] = [gone(before), gone(after)];
  for (const node of are.filter(name => !were.includes(name))) {
    const said = after.lost[node] as { reason?: unknown } | undefined;
    const reason = String(said?.reason ?? after.without[node] ?? '');
    news.push({ kind: 'lost', swarm, training, node, round, reason, others: after.nodes.length - are.length });
  }
  if (after.state === 'running') {
    news.push(...were.filter(name => !are.includes(name)).map(node => ({ kind: 'back', swarm, node }) as const));
  }
  if (after.round > before.round) {
    news.push({ kind: 'round', swarm, training, round });
  }
  if (!['queued', 'running'].includes(after.state) && ['queued', 'running'].includes(before.state)) {
    news.push({ kind: 'ended', swarm, training, state: after.state, round });
  }
  return news;
}
