/** Notebooks: those that the server makes are written beside the user's files and opened; cells are put into the open one. */
import type { JupyterFrontEnd } from '@jupyterlab/application';
import type { INotebookTracker } from '@jupyterlab/notebook';
import { PathExt } from '@jupyterlab/coreutils';
import type { Work } from './actions/work';
import type { NotebookFile } from './api';
import { codeCell } from './cells';
import { pathOf } from './transport';

/** `folder` says where to: the folder that the file browser shows. */
export async function openNotebook(
  app: JupyterFrontEnd,
  work: Work,
  folder: () => string,
  ...path: string[]
): Promise<void> {
  const file = await work.get<NotebookFile>(pathOf(...path));
  if (file === null) {
    return;
  }
  const { contents } = app.serviceManager;
  const place = await freeName(app, PathExt.join(folder(), file.name));
  await contents.save(place, { type: 'notebook', format: 'json', content: file.content });
  await app.commands.execute('docmanager:open', { path: place });
}

/** Never over a file that is there: `demo.ipynb`, `demo-2.ipynb`, ... */
async function freeName(app: JupyterFrontEnd, wanted: string): Promise<string> {
  const directory = PathExt.dirname(wanted);
  const listing = await app.serviceManager.contents.get(directory, { content: true });
  const taken = new Set((listing.content as { path: string }[]).map(item => item.path));
  const extension = PathExt.extname(wanted);
  const stem = wanted.slice(0, wanted.length - extension.length);
  for (let count = 1; ; count++) {
    const path = count === 1 ? wanted : `${stem}-${count}${extension}`;
    if (!taken.has(path)) {
      return path;
    }
  }
}

/** Below the active cell; false where no notebook is at hand. With null nothing is inserted. */
export function insertCell(tracker: INotebookTracker, source: string | null): boolean {
  const notebook = tracker.currentWidget?.content;
  const cells = notebook?.model?.sharedModel;
  if (!notebook || !cells) {
    return false;
  }
  if (source !== null) {
    const index = notebook.activeCellIndex + 1;
    cells.insertCell(index, codeCell(source) as Parameters<typeof cells.insertCell>[1]);
    notebook.activeCellIndex = index;
    notebook.node.focus();
  }
  return true;
}
