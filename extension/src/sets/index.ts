/** The commands: what each set of them needs, and the commands that concern no swarm in particular. */
import type { JupyterFrontEnd } from '@jupyterlab/application';
import type { TranslationBundle } from '@jupyterlab/translation';
import { Work } from '../actions/work';
import { CommandIDs, PANEL_ID } from '../commands';
import { labIcon, swarmIcon } from '../labIcons';
import type { ISwarmModel } from '../tokens';
import { addNodeCommands } from './nodes';
import { addSwarmCommands } from './swarms';
import { NOTHING } from './targets';
import { addTrainingCommands } from './trainings';

export interface ISet {
  model: ISwarmModel;
  trans: TranslationBundle;
  /** Open the notebook that the server makes at this path; null where no notebook can be opened. */
  openNotebook: ((...path: string[]) => Promise<void>) | null;
  /** Insert a cell into the notebook at hand, or with null say whether there is one. */
  insertCell: ((source: string | null) => boolean) | null;
}

export function addCommands(app: JupyterFrontEnd, set: ISet): void {
  const { commands } = app;
  const { model, trans } = set;
  commands.addCommand(CommandIDs.showPanel, {
    label: trans.__('Show Swarms'),
    caption: trans.__('Show the swarms in the side panel'),
    icon: swarmIcon,
    describedBy: NOTHING,
    execute: () => app.shell.activateById(PANEL_ID)
  });
  commands.addCommand(CommandIDs.startDemo, {
    label: trans.__('Start a Demo Swarm'),
    caption: trans.__('Bring up a swarm of four learning nodes on this machine'),
    icon: labIcon('play'),
    describedBy: NOTHING,
    execute: async () => {
      const { startDemo } = await import('../actions/swarms');
      await startDemo(new Work(model, trans));
    }
  });
  commands.addCommand(CommandIDs.refresh, {
    label: trans.__('Read All Swarms Again'),
    caption: trans.__('Ask the server for everything and connect at once'),
    icon: labIcon('refresh'),
    describedBy: NOTHING,
    execute: () => model.refresh()
  });
  commands.addCommand(CommandIDs.openQuickstart, {
    label: trans.__('Open the Swarm Quickstart'),
    caption: trans.__('Open a copy of the notebook that trains a first model in a swarm'),
    icon: labIcon('book'),
    describedBy: NOTHING,
    isEnabled: () => set.openNotebook !== null,
    execute: () => set.openNotebook?.('quickstart')
  });
  addSwarmCommands(commands, set);
  addNodeCommands(commands, set);
  addTrainingCommands(commands, set);
}
