/** A section of the panel: a React view with a toolbar of its own, which JupyterLab may move to another panel. */
import { PanelWithToolbar, ReactWidget, ToolbarButton } from '@jupyterlab/ui-components';
import { AccordionPanel, Widget } from '@lumino/widgets';
import React from 'react';
import { labIcon } from '../labIcons';
import type { IconName } from '../icons';
import { type IPanelContext, PanelContext } from './context';

export interface ITool {
  icon: IconName;
  label: string;
  onClick(): void;
}

export class Section extends PanelWithToolbar {
  constructor(id: string, label: string, view: JSX.Element, context: IPanelContext) {
    super();
    this.id = `swarm-lab-${id}`;
    this.title.label = label;
    this.addClass('swl-Section');
    this.addWidget(inContext(view, context));
  }

  addTool(tool: ITool): void {
    const button = new ToolbarButton({
      icon: labIcon(tool.icon),
      tooltip: tool.label,
      onClick: () => tool.onClick()
    });
    this.toolbar.addItem(tool.label, button);
  }

  /** A word beside the section's name, such as a count. */
  setExtra(text: string): void {
    const { parent } = this;
    if (parent instanceof AccordionPanel) {
      const title = parent.titles[parent.widgets.indexOf(this)];
      if (title !== undefined && title.dataset.swlExtra !== text) {
        title.dataset.swlExtra = text;
      }
    }
  }
}

export function inContext(view: JSX.Element, context: IPanelContext): Widget {
  const widget = ReactWidget.create(<PanelContext.Provider value={context}>{view}</PanelContext.Provider>);
  widget.addClass('swl-Panel-part');
  return widget;
}
