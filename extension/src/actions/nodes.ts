/** What may be done to one node: restart, remove, and the faults that a test may want. */
import { InputDialog } from '@jupyterlab/apputils';
import type { FaultRequest } from '../api';
import { pathOf } from '../transport';
import { confirmed } from './bodies';
import type { Work } from './work';

export async function restartNode({ run, trans }: Work, swarm: string, node: string): Promise<void> {
  const call = { method: 'POST', path: pathOf('swarms', swarm, 'nodes', node, 'restart') };
  await run(trans.__('Restarting %1', node), trans.__('%1 is up again', node), call);
}

export async function removeNode({ run, trans }: Work, swarm: string, node: string): Promise<void> {
  const question = {
    title: trans.__('Remove %1 from %2?', node, swarm),
    body: trans.__('Its seat becomes free. What it has trained stays on its disk; its place in the roster is not given again.'),
    act: trans.__('Remove node')
  };
  if (await confirmed(trans, question)) {
    const call = { method: 'DELETE', path: pathOf('swarms', swarm, 'nodes', node) };
    await run(trans.__('Removing %1', node), trans.__('%1 is removed', node), call);
  }
}

export async function pauseNode(work: Work, swarm: string, node: string): Promise<void> {
  const { trans } = work;
  const seconds = await askNumber(trans.__('Pause %1', node), trans.__('For how many seconds'), 10, trans.__('Pause node'));
  if (seconds !== null) {
    await fault(work, swarm, node, { kind: 'pause', seconds }, trans.__('Pausing %1', node), trans.__('%1 is paused', node));
  }
}

export async function slowNode(work: Work, swarm: string, node: string): Promise<void> {
  const { trans } = work;
  const delay = await askNumber(
    trans.__('Slow %1', node),
    trans.__('Milliseconds by which it is held back, over and over, for a minute'),
    100,
    trans.__('Slow node')
  );
  if (delay !== null) {
    const request: FaultRequest = { kind: 'slow', seconds: 60, delay_ms: delay };
    await fault(work, swarm, node, request, trans.__('Slowing %1', node), trans.__('%1 is slowed', node));
  }
}

export async function resumeNode(work: Work, swarm: string, node: string): Promise<void> {
  const { trans } = work;
  await fault(work, swarm, node, { kind: 'resume' }, trans.__('Letting %1 go on', node), trans.__('%1 goes on', node));
}

/** Without a question: the swarm starts it again. */
export async function killNode(work: Work, swarm: string, node: string): Promise<void> {
  const { trans } = work;
  await fault(work, swarm, node, { kind: 'kill' }, trans.__('Killing %1', node), trans.__('%1 was killed', node));
}

async function fault(
  { run }: Work,
  swarm: string,
  node: string,
  body: FaultRequest,
  doing: string,
  done: string
): Promise<void> {
  await run(doing, done, { method: 'POST', path: pathOf('swarms', swarm, 'nodes', node, 'faults'), body });
}

async function askNumber(title: string, label: string, value: number, okLabel: string): Promise<number | null> {
  const answer = await InputDialog.getNumber({ title, label, value, okLabel });
  return answer.button.accept && answer.value !== null && answer.value > 0 ? answer.value : null;
}
