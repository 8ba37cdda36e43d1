/** The side panel. */
import type { JupyterFrontEnd, JupyterFrontEndPlugin } from '@jupyterlab/application';
import { ITranslator, nullTranslator } from '@jupyterlab/translation';
import { SidePanel } from '@jupyterlab/ui-components';
import { PANEL_ID } from '../commands';
import { swarmIcon } from '../labIcons';

export const panel: JupyterFrontEndPlugin<void> = {
  id: 'swarm-lab:panel',
  description: 'Shows the swarms in a side panel.',
  autoStart: true,
  optional: [ITranslator],
  activate: (app: JupyterFrontEnd, translator: ITranslator | null): void => {
    const trans = (translator ?? nullTranslator).load('swarm_lab');
    const widget = new SidePanel({ translator: translator ?? nullTranslator });
    widget.id = PANEL_ID;
    widget.title.icon = swarmIcon;
    widget.title.caption = trans.__('Swarms');
    app.shell.add(widget, 'left', { rank: 600, type: 'Swarms' });
  }
};
