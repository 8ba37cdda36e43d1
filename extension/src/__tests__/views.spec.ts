/** @jest-environment jsdom */
import { NodeTable } from '../views/nodes';
import { Selection } from '../views/selection';
import { Timeline } from '../views/timeline';
import { Topology } from '../views/topology';
import { detailOf, swarmOf } from './stories';

let host: HTMLElement;
let selection: Selection;

beforeEach(() => {
  document.body.replaceChildren();
  host = document.body.appendChild(document.createElement('main'));
  selection = new Selection();
});

const press = (element: Element, key: string): void =>
  void element.dispatchEvent(new KeyboardEvent('keydown', { key, bubbles: true, cancelable: true }));
const twin = (): HTMLButtonElement => host.querySelector<HTMLButtonElement>('[aria-label="Show as table"]')!;
const firstCells = (): (string | null)[] =>
  [...host.querySelectorAll('tbody tr:not([aria-hidden])')].map(row => row.firstElementChild!.textContent);

describe('Selection', () => {
  it('tells what has changed, once, and nobody who has gone', () => {
    const heard = jest.fn();
    const end = selection.subscribe(heard);
    selection.select({ node: 'sl-1' });
    selection.select({ node: 'sl-1' });
    end();
    selection.select({ round: 3 });
    expect(heard).toHaveBeenCalledTimes(1);
    expect(selection.node).toBe('sl-1');
  });
});

describe('Timeline', () => {
  const slider = (): Element => host.querySelector('[role="slider"]')!;

  it('is scrubbed by keys, and follows the newest round at its end', () => {
    new Timeline(host, selection).update(detailOf(3, 30, 16));
    expect(slider().getAttribute('aria-valuenow')).toBe('31');
    press(slider(), 'ArrowLeft');
    expect(selection.round).toBe(30);
    press(slider(), 'PageUp');
    expect(selection.round).toBeNull();
    press(slider(), 'Home');
    expect(selection.round).toBe(1);
    press(slider(), 'PageUp');
    press(slider(), 'ArrowRight');
    expect(selection.round).toBe(12);
    press(slider(), 'End');
    expect(selection.round).toBeNull();
  });

  it('says of a round who was dropped, in the strip, in a lane and below', () => {
    new Timeline(host, selection).update(detailOf(3, 30, 16));
    selection.select({ round: 16 });
    expect(slider().getAttribute('aria-valuetext')).toBe('Round 16, committed, 2 of 3 nodes, sl-3 dropped');
    expect(host.querySelectorAll('.t-drop').length).toBeGreaterThan(1);
    expect(host.querySelector('.swl-RoundFoot')!.textContent).toContain('sl-3 dropped: not heard');
    expect(host.querySelector('.swl-Strip .bad')!.getAttribute('d')).toMatch(/^M/);
  });

  it('draws nothing anew for what has not changed', () => {
    const view = new Timeline(host, selection);
    const detail = detailOf(4, 40);
    view.update(detail);
    const bars = [...host.querySelectorAll('.t-train')];
    view.update({ ...detail });
    expect([...host.querySelectorAll('.t-train')]).toEqual(bars);
  });

  it('has few elements however many rounds and nodes there are', () => {
    new Timeline(host, selection).update(detailOf(100, 2000, 1990));
    expect(host.querySelectorAll('*').length).toBeLessThan(400);
    expect(host.querySelector('.swl-Lanes-scroll')!.textContent).toContain('99 others');
  });

  it('has a table twin with the newest round first, of which a row chooses its round', () => {
    new Timeline(host, selection).update(detailOf(3, 2000, 1999));
    twin().click();
    expect(firstCells()[0]).toBe('2000');
    expect(firstCells().length).toBeLessThan(40);
    expect(host.querySelector('table')!.getAttribute('aria-rowcount')).toBe('2001');
    const row = host.querySelector<HTMLElement>('tbody tr')!;
    expect(row.textContent).toContain('sl-3: not heard');
    row.click();
    expect(selection.round).toBe(2000);
  });

  it('says so where there is nobody to merge with', () => {
    new Timeline(host, selection).update(detailOf(1, 0));
    expect(host.querySelector('p')!.textContent).toBe('sl-1 trains alone: there is nobody to merge with.');
    expect(twin().hidden).toBe(true);
  });
});

describe('NodeTable', () => {
  it('is walked and chosen from by keys, and marks what another view has chosen', () => {
    new NodeTable(host, selection).update({ swarm: null, training: detailOf(4, 2) });
    const body = host.querySelector('tbody')!;
    const rows = (): HTMLElement[] => [...body.querySelectorAll<HTMLElement>('tr[tabindex]')];
    rows()[0].focus();
    press(rows()[0], 'ArrowDown');
    expect(document.activeElement).toBe(rows()[1]);
    press(rows()[1], 'Enter');
    expect(selection.node).toBe('sl-2');
    expect(rows()[1].getAttribute('aria-selected')).toBe('true');
    selection.select({ node: 'sl-4' });
    expect(rows().filter(row => row.classList.contains('is-selected'))).toEqual([rows()[3]]);
  });
});

describe('Topology', () => {
  it('is walked by arrows; Enter chooses', () => {
    new Topology(host, selection).update({ swarm: swarmOf(4), training: detailOf(4, 2) });
    const mark = (name: string): SVGElement => host.querySelector<SVGElement>(`[data-node="${name}"]`)!;
    mark('sl-1').focus();
    press(mark('sl-1'), 'ArrowRight');
    expect(document.activeElement).toBe(mark('sl-2'));
    press(mark('sl-2'), 'Enter');
    expect(selection.node).toBe('sl-2');
    expect(mark('sl-2').getAttribute('aria-pressed')).toBe('true');
    expect(document.activeElement).toBe(mark('sl-2'));
  });

  it('shows a round of the past: who was in it, and who led', () => {
    new Topology(host, selection).update({ swarm: swarmOf(4), training: detailOf(4, 6, 3) });
    selection.select({ round: 3 });
    const label = (name: string): string => host.querySelector(`[data-node="${name}"]`)!.getAttribute('aria-label')!;
    expect(label('sl-4')).toBe('sl-4, Dropped');
    expect(label('sl-1')).toBe('sl-1, Committed, coordinator');
    expect(host.querySelectorAll('.e-exch')).toHaveLength(3 + 1);
    twin().click();
    expect(firstCells()).toEqual(['license', 'identity', 'chain', 'sentinel', 'sl-1', 'sl-2', 'sl-3', 'sl-4']);
  });
});
