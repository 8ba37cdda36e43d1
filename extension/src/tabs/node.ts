/** The tab of a node in the main area. */
import type { CommandRegistry } from '@lumino/commands';
import { Widget } from '@lumino/widgets';
import { labIcon } from '../labIcons';
import type { ISwarmModel } from '../tokens';
import type { Trans } from '../words';
import { NodePane } from './nodePane';

export interface INodeOf {
  swarm: string;
  node: string;
}

export class NodeTab extends Widget {
  constructor(
    private readonly _model: ISwarmModel,
    readonly of: INodeOf,
    trans: Trans,
    commands: CommandRegistry
  ) {
    super();
    const { swarm, node } = of;
    this.addClass('swl-Tab');
    this.title.label = trans.__('%1 of %2', node, swarm);
    this.title.caption = trans.__('Node %1 of the swarm %2', node, swarm);
    this.title.icon = labIcon('sl');
    this.title.closable = true;
    this._pane = new NodePane(this.node, { model: _model, swarm, node, trans, commands });
    _model.changed.connect(this._draw, this);
    this._draw();
  }

  dispose(): void {
    if (!this.isDisposed) {
      this._model.changed.disconnect(this._draw, this);
      this._pane.dispose();
      super.dispose();
    }
  }

  protected onAfterShow(): void {
    this._draw();
  }

  protected onActivateRequest(): void {
    this._pane.focusLog();
  }

  private _draw(): void {
    if (this.isVisible || !this.isAttached) {
      this._pane.update(this._model.swarm(this.of.swarm), null);
    }
  }

  private _pane: NodePane;
}

export function nodeTabId({ swarm, node }: INodeOf): string {
  return `swarm-lab-node-${swarm}-${node}`;
}
