/** The commands about one training. */
import type { CommandRegistry } from '@lumino/commands';
import { Work } from '../actions/work';
import { CommandIDs } from '../commands';
import { labIcon } from '../labIcons';
import { about } from './about';
import { OF_TRAINING, trainingOf } from './targets';
import type { ISet } from './index';

export function addTrainingCommands(commands: CommandRegistry, { model, trans, openNotebook }: ISet): void {
  const work = new Work(model, trans);
  const actions = () => import('../actions/trainings');
  const onChosen = about(trans, args => trainingOf(model, args));
  commands.addCommand(CommandIDs.stopTraining, {
    label: trans.__('Stop Training…'),
    caption: trans.__('End the training with one closing round'),
    icon: labIcon('stop'),
    describedBy: OF_TRAINING,
    ...onChosen(({ training }) => training.state === 'running', async ({ swarm, training }) => (await actions()).stopTraining(work, swarm.swarm, training.id))
  });
  commands.addCommand(CommandIDs.resumeTraining, {
    label: trans.__('Let Training Go On'),
    caption: trans.__('Let a training that has failed go on after its last round'),
    icon: labIcon('play'),
    describedBy: OF_TRAINING,
    ...onChosen(({ training }) => training.state === 'failed', async ({ swarm, training }) => (await actions()).resumeTraining(work, swarm.swarm, training.id))
  });
  commands.addCommand(CommandIDs.verifyTraining, {
    label: trans.__('Verify Training'),
    caption: trans.__('Check the models of the training against the ledger and what its nodes signed'),
    icon: labIcon('committed'),
    describedBy: OF_TRAINING,
    ...onChosen(({ training }) => training.round > 0, async ({ swarm, training }) => (await actions()).verifyTraining(work, swarm.swarm, training.id))
  });
  commands.addCommand(CommandIDs.openTrainingNotebook, {
    label: trans.__('Open Training as Notebook'),
    caption: trans.__('Open a notebook that trains the same again'),
    icon: labIcon('notebook'),
    describedBy: OF_TRAINING,
    ...onChosen(() => openNotebook !== null, ({ swarm, training }) => openNotebook?.('swarms', swarm.swarm, 'trainings', training.id, 'notebook'))
  });
}
