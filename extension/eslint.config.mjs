import js from '@eslint/js';
import jupyter from '@jupyter/eslint-plugin';
import { defineConfig } from 'eslint/config';
import tseslint from 'typescript-eslint';

export default defineConfig([
  { ignores: ['**/__tests__'] },
  js.configs.recommended,
  tseslint.configs.recommended,
  { plugins: { jupyter } },
  jupyter.configs.recommended,
  {
    files: ['**/*.ts', '**/*.tsx'],
    languageOptions: { parserOptions: { project: 'tsconfig.json' } },
    rules: {
      '@typescript-eslint/no-namespace': 'off',
      // What activation needs at once; forms and tabs are loaded when they are opened.
      'jupyter/prefer-lazy-imports': [
        'warn',
        { ignoreImports: ['../labIcons', '../model', '../server', '../panel', '../panel/*', '../actions/work', '../sets'] }
      ]
    }
  }
]);
