/** Facts of made-up trainings for tests of the views. */
import type { Fact, SwarmInfo, TrainingDetail } from '../api';
import { fold } from '../training';
import { aNode, aSwarm } from './fakes';

export const namesOf = (count: number): string[] => Array.from({ length: count }, (_, at) => `sl-${at + 1}`);

/** `rounds` committed rounds of `count` nodes; from round `lostAt` on without the last node. */
export function facts(count: number, rounds: number, lostAt = Infinity): Fact[] {
  const nodes = namesOf(count);
  const said: Fact[] = [];
  const say = (event: string, fields: Record<string, unknown>): void =>
    void said.push({ v: 1, seq: said.length + 1, time: 1000 + said.length, event, training: 't-1', ...fields });
  say('training_created', { nodes, program: 'a.py', merge: 'mean', min_peers: 2, sync: 16 });
  nodes.forEach(node => say('training_started', { node }));
  for (let round = 1; round <= rounds; round++) {
    const there = nodes.filter((_, at) => round < lostAt || at < count - 1);
    const left_out = Object.fromEntries(nodes.filter(node => !there.includes(node)).map(node => [node, 'not heard']));
    const metrics = Object.fromEntries(there.map((node, at) => [node, { loss: 2 / round, local_loss: 2 / round + at / 10, batches: 16 }]));
    say('round', { round, nodes: there, digest: `${round}`.padStart(64, 'a'), tx: `0x${round}`, metrics, left_out, seconds: 2 });
    there.forEach(node => say('round_times', { node, round, coordinator: there[0], training_s: 1, waiting_s: 0.5, exchanging_s: 0.2 }));
  }
  return said;
}

export const detailOf = (count: number, rounds: number, lostAt?: number): TrainingDetail =>
  fold(null, facts(count, rounds, lostAt));

export function swarmOf(count: number, hosts = 1): SwarmInfo {
  const services = ['license', 'identity', 'chain', 'sentinel'].map(kind => aNode({ name: kind, kind, host: 'h-0' }));
  const nodes = namesOf(count).map((name, at) => aNode({ name, state: 'training', phase: 'TRAINING', host: `h-${at % hosts}` }));
  return aSwarm({ nodes: [...services, ...nodes] });
}
