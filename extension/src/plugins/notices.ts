/** What happens while nobody looks at the panel, as notifications with what can be done about it. */
import type { JupyterFrontEnd, JupyterFrontEndPlugin } from '@jupyterlab/application';
import { Notification } from '@jupyterlab/apputils';
import { ITranslator, nullTranslator } from '@jupyterlab/translation';
import { CommandIDs } from '../commands';
import { newsOf } from '../news';
import { newsText } from '../panel/announcer';
import { ISwarmModel } from '../tokens';

export const notices: JupyterFrontEndPlugin<void> = {
  id: 'swarm-lab:notices',
  description: 'Tells of nodes that are lost and of trainings that have ended.',
  autoStart: true,
  requires: [ISwarmModel],
  optional: [ITranslator],
  activate: (app: JupyterFrontEnd, model: ISwarmModel, translator: ITranslator | null): void => {
    const trans = (translator ?? nullTranslator).load('swarm_lab');
    const button = (label: string, command: string, args: Record<string, string>): Notification.IAction => ({
      label,
      callback: () => void app.commands.execute(command, args)
    });
    model.swarmChanged.connect((_, { before, after }) => {
      for (const news of newsOf(before, after)) {
        const text = newsText(news, trans);
        const { swarm } = news;
        if (news.kind === 'lost' || news.kind === 'failed') {
          const { node } = news;
          const others =
            news.kind === 'lost' && news.others > 0
              ? trans._n('The other %1 node goes on.', 'The other %1 nodes go on.', news.others)
              : '';
          Notification.warning([`${text}.`, news.reason, others].filter(Boolean).join(' '), {
            autoClose: 10000,
            actions: [
              button(trans.__('Show log'), CommandIDs.openLog, { swarm, node }),
              button(trans.__('Restart %1', node), CommandIDs.restartNode, { swarm, node })
            ]
          });
        } else if (news.kind === 'ended') {
          const { training } = news;
          const say = news.state === 'failed' ? Notification.error : Notification.info;
          say(text, {
            autoClose: news.state === 'failed' ? false : 8000,
            actions: [button(trans.__('Open training'), CommandIDs.openTraining, { swarm, training })]
          });
        }
      }
    });
  }
};
