#!/usr/bin/env bash
# The bash completion, as bash itself calls it. Usage: completion_test.sh PATH-OF-hm
set -euo pipefail
hm=$1
bash -n <("$hm" completion bash)
export HM_HOME; HM_HOME=$(mktemp -d); trap 'rm -rf "$HM_HOME"' EXIT
source <("$hm" completion bash)
complete -p hm >/dev/null
# expect WORDS... -- CANDIDATE: CANDIDATE is offered for the last of WORDS
expect() {
  local words=() want
  while [[ $1 != "=>" ]]; do words+=("$1"); shift; done
  want=$2
  COMP_WORDS=("$hm" "${words[@]}") COMP_CWORD=${#words[@]} COMPREPLY=()
  _hm
  printf '%s\n' "${COMPREPLY[@]}" | grep -qxF -- "$want" || { echo "FAIL: ${words[*]}: no '$want' in: ${COMPREPLY[*]}"; exit 1; }
}
expect dep "=>" deploy
expect image pu "=>" pull
expect logs --fo "=>" --follow
expect ps --color = al "=>" always
expect get deplo "=>" deployments
expect help err "=>" errors
expect explain deploym "=>" deployment.
expect explain deployment.spec.repl "=>" deployment.spec.replicas
cd "$HM_HOME"; touch app.yaml
expect deploy -f ap "=>" app.yaml
if command -v zsh >/dev/null; then zsh -n <("$hm" completion zsh); fi
if command -v fish >/dev/null; then fish -n <("$hm" completion fish); fi
echo ok
