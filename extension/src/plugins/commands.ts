/** The commands, and where users meet them: palette and launcher; menus and shortcuts are in the schema. */
import type { JupyterFrontEnd, JupyterFrontEndPlugin } from '@jupyterlab/application';
import { ICommandPalette } from '@jupyterlab/apputils';
import { IDefaultFileBrowser } from '@jupyterlab/filebrowser';
import { ILauncher } from '@jupyterlab/launcher';
import { INotebookTracker } from '@jupyterlab/notebook';
import { ITranslator, nullTranslator } from '@jupyterlab/translation';
import { Work } from '../actions/work';
import { CommandIDs } from '../commands';
import { insertCell, openNotebook } from '../notebooks';
import { addCommands } from '../sets';
import { ISwarmModel } from '../tokens';

export const commands: JupyterFrontEndPlugin<void> = {
  id: 'swarm-lab:commands',
  description: 'Adds the swarm commands, to the palette, the launcher, menus and shortcuts.',
  autoStart: true,
  requires: [ISwarmModel],
  optional: [ICommandPalette, ILauncher, IDefaultFileBrowser, INotebookTracker, ITranslator],
  activate: (
    app: JupyterFrontEnd,
    model: ISwarmModel,
    palette: ICommandPalette | null,
    launcher: ILauncher | null,
    browser: IDefaultFileBrowser | null,
    tracker: INotebookTracker | null,
    translator: ITranslator | null
  ): void => {
    const trans = (translator ?? nullTranslator).load('swarm_lab');
    const category = trans.__('Swarm');
    const work = new Work(model, trans);
    addCommands(app, {
      model,
      trans,
      openNotebook: (...path) => openNotebook(app, work, () => browser?.model.path ?? '', ...path),
      insertCell: tracker === null ? null : source => insertCell(tracker, source)
    });
    model.changed.connect(() => app.commands.notifyCommandChanged());
    for (const command of Object.values(CommandIDs)) {
      palette?.addItem({ command, category });
    }
    launcher?.add({ command: CommandIDs.newSwarm, category, rank: 1 });
    launcher?.add({ command: CommandIDs.openQuickstart, category, rank: 2 });
  }
};
