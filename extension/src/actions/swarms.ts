/** What may be done to a swarm: start, stop, add nodes, see the doctor, keep as notebook or scenario. */
import { Clipboard, Dialog, InputDialog, showDialog } from '@jupyterlab/apputils';
import type { Operation, Report, Scenario, SwarmInfo } from '../api';
import { running } from '../states';
import { pathOf } from '../transport';
import { confirmed, showReport, textBody } from './bodies';
import type { Work } from './work';

/** As many learning nodes as the front door adds in one call. */
const MOST_NODES = 64;

export async function startDemo({ run, trans, model }: Work): Promise<void> {
  const operation = await run(trans.__('Starting a demo swarm'), trans.__('The demo swarm is up'), {
    method: 'POST',
    path: 'demo',
    body: {}
  });
  if (operation?.swarm) {
    model.selected = operation.swarm;
  }
}

export async function startSwarm({ run, trans }: Work, name: string): Promise<void> {
  const call = { method: 'POST', path: 'swarms', body: { name } };
  await run(trans.__('Starting %1', name), trans.__('%1 is up', name), call);
}

/** Start a new one from its YAML; null if it did not come up. */
export function startFromYaml({ run, trans }: Work, name: string, yaml: string): Promise<Operation | null> {
  const call = { method: 'POST', path: 'swarms', body: { yaml } };
  return run(trans.__('Starting %1', name), trans.__('%1 is up', name), call);
}

/** Asks first, as a training is cut off; says what remains. */
export async function stopSwarm(work: Work, swarm: SwarmInfo): Promise<void> {
  const { trans } = work;
  const name = swarm.swarm;
  const training = running(swarm);
  const body =
    training === null
      ? trans.__('No training runs. Its keys, ledger, models and logs stay; the swarm can be started again.')
      : trans.__(
          'The training %1 ends after round %2, the last one committed. Its model and logs stay; the swarm can be started again.',
          training.id,
          training.round
        );
  if (await confirmed(trans, { title: trans.__('Stop %1?', name), body, act: trans.__('Stop swarm') })) {
    await down(work, name);
  }
}

/** Without a question: who calls has asked. */
export async function down({ run, trans }: Work, name: string): Promise<void> {
  const call = { method: 'DELETE', path: pathOf('swarms', name) };
  await run(trans.__('Stopping %1', name), trans.__('%1 is stopped', name), call);
}

export async function purgeSwarm({ run, trans }: Work, name: string): Promise<void> {
  const question = {
    title: trans.__('Remove %1 for good?', name),
    body: trans.__('Its nodes are stopped. Its keys, ledger, models and logs are deleted; nothing of it remains.'),
    act: trans.__('Remove swarm')
  };
  if (await confirmed(trans, question)) {
    const call = { method: 'DELETE', path: `${pathOf('swarms', name)}?purge=true` };
    await run(trans.__('Removing %1', name), trans.__('%1 is removed', name), call);
  }
}

export async function addNodes({ run, trans }: Work, swarm: string, count?: number): Promise<void> {
  const asked = count ?? (await askCount(trans, swarm));
  if (asked === null) {
    return;
  }
  const call = { method: 'POST', path: pathOf('swarms', swarm, 'nodes'), body: { kind: 'sl', count: asked } };
  const doing = trans._n('Adding %1 learning node to %2', 'Adding %1 learning nodes to %2', asked, swarm);
  const done = trans._n('%1 learning node added to %2', '%1 learning nodes added to %2', asked, swarm);
  await run(doing, done, call);
}

async function askCount(trans: Work['trans'], swarm: string): Promise<number | null> {
  const answer = await InputDialog.getNumber({
    title: trans.__('Add learning nodes to %1', swarm),
    label: trans.__('How many, from 1 to %1', MOST_NODES),
    value: 1,
    okLabel: trans.__('Add nodes')
  });
  const value = answer.value === null ? NaN : Math.round(answer.value);
  return answer.button.accept && value >= 1 && value <= MOST_NODES ? value : null;
}

export async function runDoctor({ run, trans }: Work, swarm: string): Promise<void> {
  const call = { method: 'POST', path: pathOf('swarms', swarm, 'doctor') };
  const operation = await run(trans.__('Examining %1', swarm), trans.__('%1 is examined', swarm), call);
  if (operation !== null) {
    await showReport(operation.answer as Report, trans);
  }
}

/** What was done to nodes, as a file that pytest replays. */
export async function saveScenario({ get, trans }: Work, swarm: string): Promise<void> {
  const scenario = await get<Scenario>(pathOf('swarms', swarm, 'scenario'));
  if (scenario === null) {
    return;
  }
  const note =
    scenario.steps === 0
      ? trans.__('Nothing was done to a node of %1 yet: pause, slow or kill one first.', swarm)
      : trans.__('Saved as %1. pytest replays it.', scenario.path);
  const copy = Dialog.okButton({ label: trans.__('Copy scenario') });
  const answer = await showDialog({
    title: trans._n('Scenario of %2, %1 step', 'Scenario of %2, %1 steps', scenario.steps, swarm),
    body: textBody(scenario.yaml, note),
    buttons: [Dialog.cancelButton({ label: trans.__('Close') }), copy]
  });
  if (answer.button.accept) {
    Clipboard.copyToSystem(scenario.yaml);
  }
}
