/** What may be done to a training: end it, verify it. */
import { Dialog, showDialog } from '@jupyterlab/apputils';
import type { Report } from '../api';
import { pathOf } from '../transport';
import { confirmed, reportBody } from './bodies';
import type { Work } from './work';

interface Verdict {
  ok: boolean;
  round: number;
  digest: string;
  evidence: { what: string; ok: boolean; message: string }[];
}

export async function stopTraining({ run, trans }: Work, swarm: string, training: string): Promise<void> {
  const question = {
    title: trans.__('Stop %1?', training),
    body: trans.__('It ends with one closing round, on every node with the same model. The model and the logs stay.'),
    act: trans.__('Stop training')
  };
  if (await confirmed(trans, question)) {
    const call = { method: 'POST', path: pathOf('swarms', swarm, 'trainings', training, 'stop') };
    await run(trans.__('Stopping %1', training), trans.__('%1 is stopped', training), call);
  }
}

export async function verifyTraining({ run, trans }: Work, swarm: string, training: string): Promise<void> {
  const call = { method: 'POST', path: pathOf('swarms', swarm, 'trainings', training, 'verify') };
  const operation = await run(trans.__('Verifying %1', training), trans.__('%1 is checked', training), call);
  if (operation === null) {
    return;
  }
  const verdict = operation.answer as Verdict;
  const checks = verdict.evidence.map(link => ({ check: link.what, ok: link.ok, message: link.message, next: '' }));
  const report: Report = { swarm, ok: verdict.ok, cause: null, checks, bundle: null };
  await showDialog({
    title: verdict.ok
      ? trans.__('%1 is verified up to round %2', training, verdict.round)
      : trans.__('The evidence of %1 does not hold', training),
    body: reportBody(report, trans),
    buttons: [Dialog.okButton({ label: trans.__('Close') })]
  });
}

/** One that has failed goes on after its last committed round. */
export async function resumeTraining({ run, trans }: Work, swarm: string, training: string): Promise<void> {
  const call = { method: 'POST', path: pathOf('swarms', swarm, 'trainings'), body: { resume: training } };
  await run(trans.__('Letting %1 go on', training), trans.__('%1 goes on', training), call);
}
