/** One line in the status bar: which swarm runs, how far it is, whether anything needs a look. */
import type { JupyterFrontEnd, JupyterFrontEndPlugin } from '@jupyterlab/application';
import { IStatusBar } from '@jupyterlab/statusbar';
import { ITranslator, nullTranslator } from '@jupyterlab/translation';
import { CommandIDs } from '../commands';
import { StatusItem } from '../panel/status';
import { ISwarmModel } from '../tokens';

export const status: JupyterFrontEndPlugin<void> = {
  id: 'swarm-lab:status',
  description: 'Shows the running swarm in the status bar.',
  autoStart: true,
  requires: [ISwarmModel],
  optional: [IStatusBar, ITranslator],
  activate: (
    app: JupyterFrontEnd,
    model: ISwarmModel,
    statusBar: IStatusBar | null,
    translator: ITranslator | null
  ): void => {
    const trans = (translator ?? nullTranslator).load('swarm_lab');
    statusBar?.registerStatusItem('swarm-lab:status', {
      align: 'left',
      rank: 100,
      item: new StatusItem(model, trans, () => void app.commands.execute(CommandIDs.showPanel)),
      isActive: () => model.failure?.kind !== 'missing',
      activeStateChanged: model.changed as never
    });
  }
};
