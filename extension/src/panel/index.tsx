/** The side panel: its bar, what is wrong if anything is, and its sections, which may be moved elsewhere. */
import type { IMovableSectionSource, ISectionEntry } from '@jupyterlab/apputils';
import type { ITranslator } from '@jupyterlab/translation';
import { SidePanel } from '@jupyterlab/ui-components';
import { type ISignal, Signal } from '@lumino/signaling';
import { AccordionPanel, Panel, type Widget } from '@lumino/widgets';
import React from 'react';
import { CommandIDs, PANEL_ID } from '../commands';
import { swarmIcon } from '../labIcons';
import { Announcer } from './announcer';
import { PanelBar } from './bar';
import type { IPanelContext } from './context';
import { Hosts } from './hosts';
import { Nodes } from './nodes';
import { Notice } from './notice';
import { inContext, Section } from './section';
import { Swarms } from './swarms';
import { Trainings } from './trainings';

/** A training's card. */
const TRAINING_PX = 212;
const TITLE_PX = 25;

export class SwarmPanel extends SidePanel implements IMovableSectionSource {
  constructor(
    private readonly _context: IPanelContext,
    translator: ITranslator
  ) {
    super({ translator, header: new Panel() });
    const { trans, model } = _context;
    this.id = PANEL_ID;
    this.title.icon = swarmIcon;
    this.title.caption = trans.__('Swarms');
    this.addClass('swl-Panel');
    this.node.setAttribute('role', 'region');
    this.node.setAttribute('aria-label', trans.__('Swarm lab'));
    this.header.addClass('swl-Panel-header');
    this.header.addWidget(inContext(<PanelBar />, _context));
    this.header.addWidget(inContext(<Notice />, _context));
    this._announcer = new Announcer(model, trans);
    this.node.appendChild(this._announcer.node);
    this._addSections();
    model.changed.connect(this._update, this);
    this._update();
  }

  get accordionPanel(): AccordionPanel {
    return this.content as AccordionPanel;
  }

  get sectionAdded(): ISignal<this, ISectionEntry> {
    return this._sectionAdded;
  }

  getSections(): ReadonlyArray<ISectionEntry> {
    const { widgets, titles } = this.accordionPanel;
    return [...this._sections]
      .map(([id, widget]) => ({ id, widget, titleNode: titles[widgets.indexOf(widget)] }))
      .filter(entry => entry.titleNode !== undefined);
  }

  removeSectionById(id: string): Widget | null {
    const widget = this._sections.get(id) ?? null;
    if (widget !== null) {
      widget.parent = null;
    }
    return widget;
  }

  reinsertSection(widget: Widget): void {
    this.addWidget(widget as Section);
    this._update();
  }

  dispose(): void {
    if (!this.isDisposed) {
      this._context.model.changed.disconnect(this._update, this);
      this._announcer.dispose();
      Signal.clearData(this);
      super.dispose();
    }
  }

  private _addSections(): void {
    const { trans, commands } = this._context;
    const nodes = this._section('nodes', trans.__('Nodes'), <Nodes />);
    nodes.addTool({
      icon: 'plus',
      label: trans.__('Add learning nodes'),
      onClick: () => void commands.execute(CommandIDs.addNodes)
    });
    const sections = [
      this._section('swarms', trans.__('Swarms'), <Swarms />),
      nodes,
      this._section('trainings', trans.__('Trainings'), <Trainings />),
      this._section('hosts', trans.__('Hosts'), <Hosts />)
    ];
    for (const section of sections) {
      this.addWidget(section);
    }
    this.accordionPanel.titleSpace = TITLE_PX;
    this.accordionPanel.handleMoved.connect(() => (this._dragged = true));
  }

  private _section(id: string, label: string, view: JSX.Element): Section {
    const section = new Section(id, label, view, this._context);
    this._sections.set(id, section);
    return section;
  }

  /** Names beside the titles; what is not there is not shown; the list of swarms as high as it is long. */
  private _update(): void {
    const { model } = this._context;
    const usable = model.swarms.length > 0 && (model.failure === null || model.failure.kind === 'network');
    this.content.setHidden(!usable);
    this.header.toggleClass('swl-mod-alone', !usable);
    const name = model.selected ?? '';
    this._sections.get('swarms')?.setExtra(String(model.swarms.length));
    this._sections.get('nodes')?.setExtra(name);
    this._sections.get('trainings')?.setExtra(name);
    this._sections.get('hosts')?.setExtra(String(model.hosts.length));
    this._balance();
  }

  /** Each section as high as what is in it, as far as there is room; by hand from the first dragged border on. */
  private _balance(): void {
    const panel = this.accordionPanel;
    const height = panel.node.clientHeight;
    const { swarms, hosts, selected } = this._context.model;
    const swarm = swarms.find(one => one.swarm === selected);
    const loaded = swarm?.nodes.filter(node => node.load !== null).length;
    // Only when rows have come or gone: what is under the pointer stays there.
    const counts = [swarms.length, selected, swarm?.nodes.length, loaded, swarm?.trainings.length];
    const key = [height, hosts.length, ...counts].join(' ');
    const moved = panel.widgets.length !== this._sections.size || panel.widgets.some(one => one.isHidden);
    if (this._dragged || moved || height < 200 || key === this._balanced) {
      return;
    }
    this._balanced = key;
    // After the sections themselves have drawn.
    requestAnimationFrame(() => {
      const drawn = panel.widgets.map(one => one.node.firstElementChild?.firstElementChild?.scrollHeight ?? 0);
      const empty = [false, !swarm?.nodes.length, !swarm?.trainings.length, false];
      if (drawn.some((pixels, index) => pixels === 0 && !empty[index])) {
        this._balanced = ''; // one has not drawn yet: measured now, it would be closed; the next change comes soon
        return;
      }
      const wanted = drawn.map(pixels => pixels + 4);
      if (swarm?.trainings.length) {
        wanted[2] = Math.max(wanted[2], TRAINING_PX); // its curves come a moment after the card
      }
      panel.setRelativeSizes(shared(wanted, height - panel.titleSpace * wanted.length));
    });
  }

  private readonly _sections = new Map<string, Section>();
  private readonly _sectionAdded = new Signal<this, ISectionEntry>(this);
  private readonly _announcer: Announcer;
  private _dragged = false;
  private _balanced = '';
}

/** Swarms, nodes, trainings, hosts: the nodes get what they need, the trainings the rest; what is left is the last's. */
function shared([swarms, nodes, trainings, hosts]: number[], room: number): number[] {
  const outer = [Math.min(swarms, room / 4), Math.min(hosts, room / 5)];
  const inner = room - outer[0] - outer[1];
  const forNodes = Math.min(nodes, Math.max(inner - Math.min(trainings, TRAINING_PX), inner / 2));
  const forTrainings = Math.min(trainings, inner - forNodes);
  return [outer[0], forNodes, forTrainings, room - outer[0] - forNodes - forTrainings];
}
