"""The command `completion`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from circus.commands.base import Command, Result
from circus.commands.values import words
from circus.exc import ArgumentError, MessageError

if TYPE_CHECKING:
    from circus.ports import ArbiterLike

# circusctl is given the line up to the cursor and prints a candidate a line, with a word about it after a tab.
_BASH = r"""# completion of circusctl for bash
_circusctl() {
    local candidate
    COMPREPLY=()
    while IFS= read -r candidate; do
        COMPREPLY+=("$candidate")
    done < <(AUTO_COMPLETE=bash CIRCUSCTL_LINE="${COMP_LINE:0:$COMP_POINT}" CIRCUSCTL_BREAKS="$COMP_WORDBREAKS" "$1" 2>/dev/null)
}
complete -o bashdefault -o default -F _circusctl circusctl"""

_ZSH = r"""#compdef circusctl
# completion of circusctl for zsh
_circusctl() {
    local name about
    local -a names shown
    while IFS=$'\t' read -r name about; do
        names+=("$name")
        shown+=("$name${about:+  -- $about}")
    done < <(AUTO_COMPLETE=zsh CIRCUSCTL_LINE="${(j: :)words[1,CURRENT-1]} $PREFIX" "${(Q)words[1]}" 2>/dev/null)
    if (( $#names )); then
        compadd -l -d shown -a names
    else
        _files
    fi
}
if [[ $funcstack[1] == _circusctl ]]; then
    _circusctl "$@"
else
    compdef _circusctl circusctl
fi"""

_FISH = r"""# completion of circusctl for fish
function __circusctl_candidates
    set -lx AUTO_COMPLETE fish
    set -lx CIRCUSCTL_LINE (commandline -cp)
    set -l program (commandline -opc)[1]
    $program 2>/dev/null
end
complete -c circusctl -f -a '(__circusctl_candidates)'
complete -c circusctl -l ssh_keyfile -r -F"""

SCRIPTS = {"bash": _BASH, "zsh": _ZSH, "fish": _FISH}


class Completion(Command):
    """Print the script that teaches a shell to complete the words of circusctl.

    Commands, their options, names of watchers as they are now, pids, signals and options of watchers are completed. To
    have it in every new shell, put one of these lines into the file that the shell reads at its start:

        bash, ~/.bashrc:                   eval "$(circusctl completion bash)"
        zsh, ~/.zshrc, after compinit:     eval "$(circusctl completion zsh)"
        fish, ~/.config/fish/config.fish:  circusctl completion fish | source

    There is no request for it; circusctl answers by itself.

    Command line:

        circusctl completion bash|zsh|fish
    """

    name = "completion"
    changes = False

    def message(self, *args: str, **_: Any) -> str:
        (shell,) = words(args, 1)
        if shell not in SCRIPTS:
            raise ArgumentError(f"there is no completion for {shell!r}, but for {', '.join(SCRIPTS)}")
        return SCRIPTS[shell]

    def execute(self, arbiter: ArbiterLike, props: dict[str, Any]) -> Result:
        del arbiter, props
        raise MessageError("invalid message. circusctl answers this by itself")
