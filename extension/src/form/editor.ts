/** The YAML in JupyterLab's own editor, with the lines marked that the server does not take. */
import { CodeEditor, type IEditorServices } from '@jupyterlab/codeeditor';
import { EditorState, type Extension, StateEffect, StateField } from '@codemirror/state';
import { Decoration, type DecorationSet, EditorView, WidgetType } from '@codemirror/view';
import type { SpecProblem } from '../api';

const setProblems = StateEffect.define<readonly SpecProblem[]>();

/** The message below its line. */
class Note extends WidgetType {
  constructor(private readonly _text: string) {
    super();
  }

  eq(other: Note): boolean {
    return other._text === this._text;
  }

  toDOM(): HTMLElement {
    const node = document.createElement('div');
    node.className = 'swl-Yaml-note';
    node.textContent = this._text;
    return node;
  }
}

const problemsField = StateField.define<DecorationSet>({
  create: () => Decoration.none,
  update: (marks, transaction) => {
    let next = marks.map(transaction.changes);
    for (const effect of transaction.effects) {
      if (effect.is(setProblems)) {
        next = decorations(transaction.state, effect.value);
      }
    }
    return next;
  },
  provide: field => EditorView.decorations.from(field)
});

function decorations(state: EditorState, problems: readonly SpecProblem[]): DecorationSet {
  const marks = problems.flatMap(({ line, path, message }) => {
    const at = state.doc.line(Math.min(Math.max(1, line), state.doc.lines));
    const text = path ? `${path}: ${message}` : message;
    return [
      Decoration.line({ class: 'swl-Yaml-bad' }).range(at.from),
      Decoration.widget({ widget: new Note(text), side: 1, block: true }).range(at.to)
    ];
  });
  return Decoration.set(marks, true);
}

export class YamlEditor {
  constructor(services: IEditorServices, host: HTMLElement, text: string, label: string) {
    this._model = new CodeEditor.Model({ mimeType: 'text/x-yaml' });
    this._model.sharedModel.setSource(text);
    const extensions: Extension[] = [problemsField, EditorView.contentAttributes.of({ 'aria-label': label })];
    this._editor = services.factoryService.newDocumentEditor({
      host,
      model: this._model,
      config: { lineNumbers: true, lineWrap: true, tabFocusable: false },
      extensions
    });
  }

  get text(): string {
    return this._model.sharedModel.getSource();
  }

  set text(text: string) {
    if (text !== this.text) {
      this._model.sharedModel.setSource(text);
    }
  }

  onChange(callback: (text: string) => void): void {
    this._model.sharedModel.changed.connect(() => callback(this.text));
  }

  mark(problems: readonly SpecProblem[]): void {
    const view = (this._editor as unknown as { editor: EditorView }).editor;
    view.dispatch({ effects: setProblems.of(problems) });
  }

  dispose(): void {
    this._editor.dispose();
    this._model.dispose();
  }

  private readonly _model: CodeEditor.Model;
  private readonly _editor: CodeEditor.IEditor;
}
