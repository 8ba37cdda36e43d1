/** How a node stands in a training: its state, and a note of what for or why; as `swarm_lab/jupyter/picture.py` says it. */
import type { TrainingDetail } from '../api';
import { type Look, PHASES } from '../states';
import { isOver } from '../training';
import type { Trans } from '../words';

const QUEUED: Look = { word: 'Queued', icon: 'waiting', tone: 'idle' };
const STARTING: Look = { word: 'Starting', icon: 'starting', tone: 'busy' };
const STOPPED: Look = { word: 'Stopped', icon: 'stopped', tone: 'idle' };
const LOST: Look = { word: 'Lost', icon: 'lost', tone: 'bad' };
const DROPPED: Look = { word: 'Dropped', icon: 'dropped', tone: 'bad' };

export interface Standing {
  look: Look;
  note: string;
}

/** Now. */
export function standingOf(detail: TrainingDetail, node: string, trans: Trans): Standing {
  const stands = (look: Look, note = ''): Standing => ({ look, note });
  if (node in detail.failed) {
    return stands(PHASES.FAILED, detail.failed[node].split('\n')[0]);
  }
  if (node in detail.finished) {
    const why = detail.without[node];
    const look = detail.state === 'stopped' ? STOPPED : PHASES.FINISHED;
    return stands(look, why ? trans.__('not in the last round: %1', why) : '');
  }
  if (isOver(detail)) {
    return stands(STOPPED);
  }
  if (node in detail.lost) {
    const reason = (detail.lost[node] as { reason?: string }).reason;
    return stands(LOST, trans.__('not heard: %1', reason ?? ''));
  }
  if (node in detail.waiting) {
    const said = detail.waiting[node] as { phase?: string | null; reason?: string | null };
    return stands(PHASES[said.phase ?? 'WAITING_FOR_PEERS'] ?? PHASES.WAITING_FOR_PEERS, said.reason ?? '');
  }
  const last = detail.rounds.at(-1);
  if (last && node in last.left_out) {
    return stands(DROPPED, trans.__('left out of round %1: %2', last.round, last.left_out[node]));
  }
  if (node in detail.progress || last?.nodes.includes(node)) {
    return stands(PHASES[detail.now[node]?.phase] ?? PHASES.TRAINING, coordinates(detail, node, trans));
  }
  return stands(detail.state === 'queued' ? QUEUED : STARTING);
}

/** Batches that a node has done; what its rounds have merged may be newer than what it told. */
export function batchesOf(detail: TrainingDetail, node: string): number | null {
  const told = detail.progress[node]?.batches;
  const merged = detail.merged_batches[node] ?? 0;
  return told !== undefined || merged ? Math.max(told ?? 0, merged) : null;
}

/** How far the round under way has come, 0 to 1: the batches of its interval that the nodes have done, on average. */
export function shareOf(detail: TrainingDetail): number {
  const interval = detail.rounds.at(-1)?.interval || detail.sync;
  const told = Object.entries(detail.progress);
  if (!interval || !told.length) {
    return 0;
  }
  const shares = told.map(([node, said]) => (said.batches - (detail.merged_batches[node] ?? 0)) / interval);
  return shares.reduce((sum, share) => sum + Math.min(Math.max(share, 0), 1), 0) / shares.length;
}

/** How many nodes are still there. */
export function activeOf(detail: TrainingDetail, trans: Trans): number {
  const gone = new Set([PHASES.FAILED.word, DROPPED.word, LOST.word]);
  return detail.nodes.filter(node => !gone.has(standingOf(detail, node, trans).look.word)).length;
}

function coordinates(detail: TrainingDetail, node: string, trans: Trans): string {
  const last = detail.rounds.at(-1);
  return last?.coordinator === node ? trans.__('coordinator of round %1', last.round) : '';
}
