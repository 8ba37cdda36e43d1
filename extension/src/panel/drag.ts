/** A node that is dragged into a notebook becomes a cell that attaches to it. */
import { MimeData } from '@lumino/coreutils';
import { Drag } from '@lumino/dragdrop';
import { attachSource, CELL_MIME, codeCell } from '../cells';

export function startNodeDrag(event: PointerEvent, swarm: string, node: string): void {
  const source = attachSource(swarm, node);
  const mimeData = new MimeData();
  mimeData.setData(CELL_MIME, [codeCell(source)]);
  mimeData.setData('text/plain', source);
  const image = document.createElement('div');
  image.className = 'swl-DragImage';
  image.textContent = `%swarm ${node}`;
  const drag = new Drag({
    mimeData,
    dragImage: image,
    supportedActions: 'copy',
    proposedAction: 'copy'
  });
  void drag.start(event.clientX, event.clientY).then(() => drag.dispose());
}
